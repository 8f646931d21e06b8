// Parts of a scoring on disk: what counts, what is found damaged or foreign, with ranks.
#include "launch/score/score_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "data/files/input_file.h"
#include "data/loading/sampler.h"
#include "prune/error.h"
#include "tests/support/mpi_world.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using prune::SampleRange;

constexpr std::int64_t kSamples = 53;

class ScorePartsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto name = "diffprob_score_parts_" + std::to_string(::getpid());
    folder_ = control_.broadcast((fs::temp_directory_path() / name).string(), 0);
    control_.barrier("start of test");
  }
  void TearDown() override {
    control_.barrier("end of test");
    if (is_root()) fs::remove_all(folder_);
  }
  [[nodiscard]] bool is_root() const { return control_.rank() == 0; }
  [[nodiscard]] bool is_last() const { return control_.rank() == control_.world_size() - 1; }

  static ScorePlan plan() { return {kSamples, "data", "model", 0.25, 32, "fold: true\n"}; }
  static prune::ScoreRecord record(std::int64_t index) {
    prune::ScoreRecord r;
    r.index = static_cast<std::uint32_t>(index);
    r.nll = static_cast<float>(index) / 3;
    r.top1 = static_cast<std::int32_t>(index % 7);
    r.norm = static_cast<float>(index);
    return r;
  }
  [[nodiscard]] std::vector<prune::ScoreRecord> own_records(SampleRange samples) const {
    std::vector<prune::ScoreRecord> records;
    const auto rows = data::rows_of_rank(samples.size(), control_.rank(), control_.world_size());
    for (auto row = rows.begin; row < rows.end; ++row)
      records.push_back(record(samples.first + row));
    return records;
  }
  void write(ScoreParts& parts, SampleRange samples) const {
    parts.write(samples, own_records(samples));
  }
  /// "first-last first-last ..."
  [[nodiscard]] static std::string missing(const ScoreParts& parts) {
    std::string text;
    for (const SampleRange& range : parts.missing())
      text += fmt::format("{}{}-{}", text.empty() ? "" : " ", range.first, range.last);
    return text;
  }

  /// Names in the folder, sorted. Collective.
  [[nodiscard]] std::vector<std::string> names() {
    control_.barrier("files written");
    std::vector<std::string> found;
    std::error_code missing;
    for (const auto& item : fs::directory_iterator(folder_, missing))
      found.push_back(item.path().filename());
    std::sort(found.begin(), found.end());
    control_.barrier("files seen");
    return found;
  }
  [[nodiscard]] std::int64_t count(const std::string& suffix) {
    const auto all = names();
    return std::count_if(all.begin(), all.end(),
                         [&](const std::string& name) { return name.ends_with(suffix); });
  }
  void expect_whole_table(ScoreParts& parts) {
    const auto table = parts.read_all();
    ASSERT_EQ(table.size(), is_root() ? static_cast<std::size_t>(kSamples) : 0U);
    if (!is_root()) return;
    for (std::int64_t i = 0; i < kSamples; ++i) {
      const auto& found = table[static_cast<std::size_t>(i)];
      EXPECT_EQ(std::tie(found.index, found.nll, found.top1, found.norm),
                std::make_tuple(static_cast<std::uint32_t>(i), record(i).nll, record(i).top1,
                                record(i).norm));
    }
  }

  dist::HostCollectives control_;
  std::string folder_;
};

TEST_F(ScorePartsTest, UnbrokenScoringReadsBackInIndexOrderAndLeavesNothing) {
  ScoreParts parts(folder_, plan(), control_);
  EXPECT_EQ(missing(parts), "0-53");
  for (const SampleRange range : {SampleRange{0, 16}, {16, 48}, {48, 53}}) write(parts, range);
  EXPECT_EQ(missing(parts), "");
  EXPECT_EQ(count(""), 3 * control_.world_size());

  expect_whole_table(parts);
  parts.remove();

  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(ScorePartsTest, APartCountsWhenTheFilesOfAllRanksAreThere) {
  {
    ScoreParts parts(folder_, plan(), control_);
    write(parts, {0, 16});
    if (!is_last()) write(parts, {16, 32});
    write(parts, {32, 40});
    if (is_root())
      std::ofstream(folder_ + "/part.000000000040-000000000048.00000-of-00001.tmp.77.1")
          << "half a file";
    control_.barrier("killed");
  }

  ScoreParts parts(folder_, plan(), control_);

  EXPECT_EQ(missing(parts), "16-32 40-53");
  EXPECT_EQ(parts.samples_done(), 24);
  EXPECT_EQ(count(""), 2 * control_.world_size());  // what was being written is gone
  for (const SampleRange range : {SampleRange{40, 50}, {16, 32}, {50, 53}})
    write(parts, range);  // other sizes, any order
  expect_whole_table(parts);
}

TEST_F(ScorePartsTest, DamagedPartsAreSetAsideAndMissingAgain) {
  ScoreParts first(folder_, plan(), control_);
  write(first, {0, 32});
  write(first, {32, 53});
  const std::string last_rank =
      fmt::format("{:05d}-of-{:05d}", control_.world_size() - 1, control_.world_size());
  const std::string victim = folder_ + "/part.000000000000-000000000032." + last_rank;
  control_.barrier("written");
  const std::string whole = data::read_text_file(victim, 1 << 20);
  control_.barrier("read by all");  // before rank 0 damages it
  std::vector<std::string> damaged = {"", whole.substr(0, 40), whole.substr(0, whole.size() - 1),
                                      whole + "x"};
  for (const std::size_t at :
       {std::size_t{3}, whole.size() / 2, whole.size() - 70, whole.size() - 3}) {
    damaged.push_back(whole);
    damaged.back()[at] = static_cast<char>(damaged.back()[at] ^ 4);
  }
  for (const std::string& bytes : damaged) {
    if (is_root()) std::ofstream(victim, std::ios::binary) << bytes;
    control_.barrier("damaged");

    ScoreParts parts(folder_, plan(), control_);

    EXPECT_EQ(missing(parts), "0-32");
    EXPECT_EQ(count(".damaged"), control_.world_size());
    write(parts, {0, 32});
    expect_whole_table(parts);
  }
}

TEST_F(ScorePartsTest, PartsOfAnotherScoringAreSetAside) {
  const std::vector<std::function<void(ScorePlan&)>> changes = {
      [](ScorePlan& p) { p.dataset_fingerprint = "other"; },
      [](ScorePlan& p) { p.model_fingerprint = "other"; },
      [](ScorePlan& p) { p.margin = 0; },
      [](ScorePlan& p) { p.scale = 64; },
      [](ScorePlan& p) { p.settings = "fold: false\n"; },
      [](ScorePlan& p) { p.num_samples = kSamples + 1; }};
  for (const auto& change : changes) {
    {
      ScoreParts parts(folder_, plan(), control_);
      write(parts, {0, 16});
      control_.barrier("written");
    }
    ScorePlan other = plan();
    change(other);

    ScoreParts parts(folder_, other, control_);

    EXPECT_EQ(parts.samples_done(), 0);
    EXPECT_EQ(count(".foreign"), control_.world_size());
    EXPECT_EQ(count(""), control_.world_size());
  }
}

TEST_F(ScorePartsTest, ASampleTwiceOrNotAtAllIsAnError) {
  const auto refusal = [&](SampleRange doubled) {
    ScoreParts parts(folder_, plan(), control_);
    write(parts, {0, 32});
    parts.write({32, 53}, own_records(doubled));
    std::string message;
    try {
      (void)parts.read_all();
    } catch (const prune::PruneError& error) {
      message = error.what();
    }
    parts.remove();
    return message;
  };

  const std::string twice = refusal({24, 53});
  const std::string hole = refusal({32, 48});

  if (is_root()) {
    EXPECT_THAT(twice, ::testing::HasSubstr("was scored twice"));
    EXPECT_THAT(hole,
                ::testing::HasSubstr("5 of 53 samples were not scored; the first is sample 48"));
  }
}

}  // namespace
}  // namespace diffprob::launch
