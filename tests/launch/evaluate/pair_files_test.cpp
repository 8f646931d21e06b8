// Files of pair scores and ROC curves on 1 to 4 ranks: read back and compared with plain loops.
#include "launch/evaluate/pair_files.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <unistd.h>

#include "data/error.h"
#include "launch/evaluate/table_file.h"
#include "prune/files/hdf5_file.h"
#include "prune/files/npy_file.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

/// A .csv by its heading. Every field is a number.
std::map<std::string, std::vector<double>> read_csv(const std::string& path) {
  std::ifstream file(path);
  std::string line, field;
  std::vector<std::string> names;
  std::getline(file, line);
  for (std::istringstream cells(line); std::getline(cells, field, ',');) names.push_back(field);
  std::map<std::string, std::vector<double>> columns;
  for (const auto& name : names) columns[name];
  while (std::getline(file, line)) {
    std::istringstream cells(line);
    for (const auto& name : names) {
      std::getline(cells, field, ',');
      columns[name].push_back(std::stod(field));
    }
  }
  return columns;
}

std::vector<double> read_npy(const std::string& path) {
  prune::NpyFile file(path);
  std::vector<double> values(static_cast<std::size_t>(file.columns()));
  file.read_row(0, values);
  EXPECT_EQ(file.dimensions(), 1U);
  return values;
}

template <class T>
std::vector<double> column(const prune::HdfReader& file, const std::string& name) {
  const auto values = file.dataset<T>(name);
  return {values.begin(), values.end()};
}

class PairFiles : public ::testing::Test {
 protected:
  PairFiles() {
    const auto token = control.all_gather(static_cast<std::int64_t>(::getpid()))[0];
    folder = fs::temp_directory_path() / fmt::format("diffprob_pair_files_{}", token);
    if (control.rank() == 0) fs::create_directories(folder);
    control.barrier("folder");
  }
  ~PairFiles() override {
    control.barrier("end");
    if (control.rank() == 0) fs::remove_all(folder);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder / name).string(); }

  dist::HostCollectives control;
  fs::path folder;
};

struct Pairs {
  data::VerificationSet set;
  eval::VerifiedSet verified;
};

/// Pairs that tie now and then.
Pairs make_pairs(std::size_t count, int folds) {
  Pairs made;
  std::mt19937_64 random(7);
  made.set.name = "some/lfw";
  for (std::size_t i = 0; i < count; ++i) {
    made.set.same.push_back(random() % 2 == 0);
    made.verified.distances.push_back(static_cast<double>(random() % 100) / 60 +
                                      (made.set.same.back() ? 0 : 0.9));
  }
  made.verified.report = eval::report_pairs("lfw", made.verified.distances, made.set.same, folds);
  return made;
}

TEST_F(PairFiles, NamesStandBeforeTheSuffix) {
  EXPECT_EQ(file_of_parts("out.d/scores.csv", {}), "out.d/scores.csv");
  EXPECT_EQ(file_of_parts("out.d/scores.csv", {"", "lfw", ""}), "out.d/scores.lfw.csv");
  EXPECT_EQ(file_of_parts("s.h5", {"step_00000001", "a/b", "F1N1D1"}),
            "s.step_00000001.a_b.F1N1D1.h5");
}

TEST_F(PairFiles, TheSuffixTellsTheForm) {
  EXPECT_EQ(table_form("a.csv"), TableForm::kCsv);
  EXPECT_EQ(table_form("a.npy"), TableForm::kNpy);
  EXPECT_EQ(table_form("a.hdf5"), TableForm::kHdf5);
  EXPECT_THROW((void)table_form("a.txt"), std::invalid_argument);
}

TEST_F(PairFiles, ScoresOfASetGiveItsAccuracies) {
  if (control.rank() != 0) return;
  const Pairs made = make_pairs(103, 10);
  for (const char* name : {"s.csv", "s.npy", "s.h5"})
    write_pair_scores(path(name), made.set, made.verified);

  const auto csv = read_csv(path("s.csv"));

  std::vector<double> right(10, 0), pairs(10, 0);
  for (std::size_t i = 0; i < 103; ++i) {
    EXPECT_EQ(csv.at("pair")[i], static_cast<double>(i));
    EXPECT_EQ(csv.at("same")[i], made.set.same[i] ? 1 : 0);
    EXPECT_EQ(csv.at("distance")[i], made.verified.distances[i]);  // to the last bit
    EXPECT_EQ(csv.at("similarity")[i], 1 - made.verified.distances[i] / 2);
    const auto fold = static_cast<std::size_t>(csv.at("fold")[i]);
    EXPECT_EQ(csv.at("accepted")[i], csv.at("distance")[i] < csv.at("threshold")[i] ? 1 : 0);
    right[fold] += csv.at("accepted")[i] == csv.at("same")[i] ? 1 : 0;
    pairs[fold] += 1;
  }
  for (std::size_t fold = 0; fold < 10; ++fold)
    EXPECT_DOUBLE_EQ(right[fold] / pairs[fold],
                     made.verified.report.verification.fold_accuracy[fold]);
  EXPECT_EQ(read_npy(path("s.npy")), csv.at("similarity"));
  const prune::HdfReader hdf(path("s.h5"));
  hdf.check_format("diffprob pair scores", 1);
  for (const char* name : {"similarity", "distance", "threshold"})
    EXPECT_EQ(column<double>(hdf, name), csv.at(name)) << name;
  for (const char* name : {"same", "accepted"})
    EXPECT_EQ(column<std::uint8_t>(hdf, name), csv.at(name)) << name;
  for (const char* name : {"pair", "fold"})
    EXPECT_EQ(column<std::int64_t>(hdf, name), csv.at(name)) << name;
}

TEST_F(PairFiles, ThresholdsOfTheRocAcceptWhatItSays) {
  if (control.rank() != 0) return;
  const Pairs made = make_pairs(200, 10);
  write_roc(path("roc.csv"), made.set, made.verified);

  const auto roc = read_csv(path("roc.csv"));

  double genuine = 0, impostors = 0;
  for (const bool same : made.set.same) (same ? genuine : impostors) += 1;
  ASSERT_GT(roc.at("far").size(), 50U);
  for (std::size_t row = 0; row < roc.at("far").size(); ++row) {
    double true_accepts = 0, false_accepts = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      if (1 - made.verified.distances[i] / 2 < roc.at("threshold")[row]) continue;
      (made.set.same[i] ? true_accepts : false_accepts) += 1;
    }
    EXPECT_DOUBLE_EQ(roc.at("far")[row], false_accepts / impostors);
    EXPECT_DOUBLE_EQ(roc.at("tar")[row], true_accepts / genuine);
  }
  EXPECT_EQ(roc.at("tar").front(), 0);
  EXPECT_EQ(roc.at("far").back(), 1);
}

TEST_F(PairFiles, ASetOfOneKindHasAnEmptyCurve) {
  if (control.rank() != 0) return;
  Pairs made = make_pairs(20, 2);
  made.set.same.assign(20, true);

  write_roc(path("roc.csv"), made.set, made.verified);

  std::ifstream file(path("roc.csv"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(text, "far,tar,threshold\n");
}

/// Pair i of all, whoever holds it.
struct TemplatePair {
  std::int32_t first, second;
  std::uint8_t same;
  double score;
};
TemplatePair pair_number(std::int64_t i) {
  return {static_cast<std::int32_t>(i % 97), static_cast<std::int32_t>(i * 7 % 89),
          static_cast<std::uint8_t>(i % 5 == 0), std::sin(static_cast<double>(i))};
}

/// Shares of different size; the second rank of several has none.
std::vector<double> make_share(std::int64_t total, dist::HostCollectives& control,
                               eval::IjbProtocol& protocol) {
  for (std::int64_t id = 0; id < 100; ++id) protocol.templates.ids.push_back(1000 + 3 * id);
  const int ranks = control.world_size();
  const auto begin_of = [&](int rank) {
    return rank >= ranks            ? total
           : rank <= 1 && ranks > 1 ? rank * total / 7
           : rank == 2              ? total / 7
                                    : total / 2;
  };
  std::vector<double> scores;
  const int rank = control.rank();
  const std::int64_t begin = rank == 0 ? 0 : begin_of(rank), end = begin_of(rank + 1);
  for (std::int64_t i = begin; i < end; ++i) {
    const TemplatePair pair = pair_number(i);
    protocol.pairs.first.push_back(pair.first);
    protocol.pairs.second.push_back(pair.second);
    protocol.pairs.same.push_back(pair.same);
    scores.push_back(pair.score);
  }
  return scores;
}

TEST_F(PairFiles, TemplateScoresStandInTheOrderOfTheRanks) {
  constexpr std::int64_t kPairs = 1000;
  eval::IjbProtocol protocol;
  const auto scores = make_share(kPairs, control, protocol);
  for (const char* name : {"t.csv", "t.npy", "t.h5"})
    write_template_scores(path(name), protocol, scores, control);
  if (control.rank() != 0) return;

  const auto csv = read_csv(path("t.csv"));

  ASSERT_EQ(csv.at("score").size(), static_cast<std::size_t>(kPairs));
  for (std::int64_t i = 0; i < kPairs; ++i) {
    const auto at = static_cast<std::size_t>(i);
    const TemplatePair pair = pair_number(i);
    EXPECT_EQ(csv.at("template1")[at], 1000 + 3 * pair.first);
    EXPECT_EQ(csv.at("template2")[at], 1000 + 3 * pair.second);
    EXPECT_EQ(csv.at("same")[at], pair.same);
    EXPECT_EQ(csv.at("score")[at], pair.score);
  }
  EXPECT_EQ(read_npy(path("t.npy")), csv.at("score"));
  const prune::HdfReader hdf(path("t.h5"));
  EXPECT_EQ(column<std::int64_t>(hdf, "template1"), csv.at("template1"));
  EXPECT_EQ(column<std::int64_t>(hdf, "template2"), csv.at("template2"));
  EXPECT_EQ(column<std::uint8_t>(hdf, "same"), csv.at("same"));
  EXPECT_EQ(column<double>(hdf, "score"), csv.at("score"));
}

TEST_F(PairFiles, ManyPairsTravelInSeveralParts) {
  constexpr std::int64_t kPairs = 1'300'000;  // more than two parts on one rank
  eval::IjbProtocol protocol;
  const auto scores = make_share(kPairs, control, protocol);
  write_template_scores(path("many.h5"), protocol, scores, control);
  if (control.rank() != 0) return;

  const auto found = prune::HdfReader(path("many.h5")).dataset<double>("score");

  ASSERT_EQ(found.size(), static_cast<std::size_t>(kPairs));
  std::int64_t different = 0;
  for (std::int64_t i = 0; i < kPairs; ++i)
    different += found[static_cast<std::size_t>(i)] != pair_number(i).score ? 1 : 0;
  EXPECT_EQ(different, 0);
}

TEST_F(PairFiles, AFileThatCannotBeWrittenFailsOnAllRanks) {
  eval::IjbProtocol protocol;
  const auto scores = make_share(10, control, protocol);
  for (const char* name : {"no/such/folder.csv", "no/such/folder.npy", "no/such/folder.h5"})
    EXPECT_THROW(write_template_scores(path(name), protocol, scores, control), data::DataError);
  EXPECT_TRUE(fs::is_empty(folder));
}

TEST_F(PairFiles, WithoutCommitNothingAppears) {
  if (control.rank() != 0) return;
  const std::vector<double> values = {1, 2};
  {
    TableFile file(path("t.csv"), 3, "a", "test");
    file.append({{"a", std::span<const double>(values)}});
    EXPECT_THROW(file.commit(), data::DataError);  // a row is missing
  }
  EXPECT_TRUE(fs::is_empty(folder));
}

}  // namespace
}  // namespace diffprob::launch
