// Prunings from the mean of a folder of score tables and from windows of any length, and the list
// of suspicious samples: on any number of ranks those of one process.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <gmock/gmock.h>

#include "prune/tables/dynamics_file.h"
#include "tests/prune/prune_cases.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

class FolderAndWindow : public PruneTest {
 protected:
  std::vector<std::int64_t> kept(const PruneResult& result) {
    static_cast<void>(files_written(result));
    const std::string shared = collectives_.broadcast(folder_.file("."), 0);
    auto set = read_index_set(shared + "/index_set.h5", result.num_samples);
    collectives_.barrier("index set read");
    return set.kept;
  }
  std::string refused(const PruneFiles& files, const PruneOptions& options) {
    return message_of<PruneError>(
        [&] { static_cast<void>(prune(files, options, collectives_, work())); });
  }
  /// Dynamics of 14 epochs with or without a history.
  std::string dynamics_of(const ScoreTable& table, bool with_history, std::int64_t window) const {
    DynamicsAccumulator accumulator({0, static_cast<std::int64_t>(table.labels.size())}, window);
    if (with_history) accumulator.keep_history();
    Draws draws(8);
    for (int epoch = 0; epoch < 14; ++epoch) {
      std::vector<EpochRecord> records;
      for (std::size_t i = 0; i < table.labels.size(); ++i)
        records.push_back({static_cast<std::uint32_t>(i),
                           static_cast<float>(from_half(to_half(draws.uniform()))), 0, 1});
      accumulator.add_epoch(records);
    }
    DynamicsTable dynamics;
    dynamics.source = table.source;
    dynamics.labels = table.labels;
    dynamics.epochs = 14;
    dynamics.window = window;
    dynamics.rows = accumulator.finish();
    const std::string path = folder_.file(with_history ? "history.h5" : "plain.h5");
    using History = DynamicsWriter::History;
    DynamicsWriter writer(path, dynamics, with_history ? History::kYes : History::kNo);
    for (const auto& epoch : accumulator.state().history) writer.append_epoch(epoch);
    writer.commit();
    return path;
  }
};

TEST_F(FolderAndWindow, TheMeanOfAFolderIsThatOfItsTables) {
  ScoreTable mean = synthetic_table(3, 20, 30);
  std::filesystem::create_directories(folder_.file("scores"));
  std::vector<double> sums(mean.records.size());
  constexpr int kFiles = 3;
  for (int k = 0; k < kFiles; ++k) {
    Draws draws(static_cast<std::uint64_t>(k) + 50);
    ScoreTable table = mean;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      auto& record = table.records[i];
      record.probability = static_cast<float>(draws.below(64)) / 64;  // sums are exact
      record.nll = -std::log(record.probability) + 0.0F;
      sums[i] += static_cast<double>(record.probability);
    }
    // Of a step with more digits than the others: the newest, whose predictions clean.
    write_scores(folder_.file(k == 2 ? "scores/step_1000000000.h5"
                                     : "scores/step_9999999" + std::to_string(k) + ".h5"),
                 table);
  }
  DynamicsTable as_dynamics = synthetic_dynamics(mean);
  for (std::size_t i = 0; i < sums.size(); ++i) as_dynamics.rows.mean_probability[i] = sums[i] / 3;
  write_dynamics(folder_.file("mean.h5"), as_dynamics);
  write_scores(folder_.file("last.h5"), mean);
  for (const bool clean : {false, true}) {
    PruneOptions options = with("diffprob", clean, 0.5);
    options.score = ScoreKind::kScoresMean;
    const auto of_folder =
        kept(prune({folder_.file("scores"), "", ""}, options, collectives_, work()));
    options.score = ScoreKind::kMean;
    const auto of_dynamics = kept(prune({folder_.file("last.h5"), folder_.file("mean.h5"), ""},
                                        options, collectives_, work()));
    EXPECT_EQ(of_folder, of_dynamics);
  }
}

TEST_F(FolderAndWindow, AFolderIsNotTakenForATable) {
  const ScoreTable table = synthetic_table(3, 5, 10);
  const std::string folder = folder_.file("scores");
  std::filesystem::create_directories(folder);
  PruneOptions options = with("diffprob", true, 0.5);
  EXPECT_THAT(refused({folder, "", ""}, options), HasSubstr("no score files (*.h5)"));
  write_scores(folder + "/step_1.h5", table);
  EXPECT_THAT(refused({folder, "", ""}, options), HasSubstr("--prune.score=scores_mean"));
  ScoreTable other = table;
  other.source.margin += 0.1;
  write_scores(folder + "/step_2.h5", other);
  options.score = ScoreKind::kScoresMean;
  EXPECT_THAT(refused({folder, "", ""}, options), HasSubstr("different data sets or margins"));
  write_bytes(folder + "/step_2.h5", "no HDF5");
  EXPECT_THAT(refused({folder, "", ""}, options), HasSubstr("step_2.h5"));
}

TEST_F(FolderAndWindow, AnyWindowIsThatOfARecordingWithIt) {
  const ScoreTable table = synthetic_table(4, 20, 30);
  const std::string history = dynamics_of(table, true, 10);
  for (const std::int64_t window : {0, 2, 5, 10, 13}) {
    PruneOptions options = with("dynunc", false, 0.5);
    options.ranked.window = window;
    const auto computed = prune({"", history, ""}, options, collectives_, work());
    const std::string recorded = dynamics_of(table, false, window == 0 ? 10 : window);
    const auto wanted = prune({"", recorded, ""}, with("dynunc", false, 0.5), collectives_, work());
    const auto a = kept(computed), b = kept(wanted);
    std::vector<std::int64_t> differing;
    std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(),
                                  std::back_inserter(differing));
    // What float16 loses can turn around neighbours alone.
    EXPECT_LE(differing.size(), window == 0 || window == 10 ? 0U : 8U) << window;
    EXPECT_EQ(a.size(), b.size());
  }
}

TEST_F(FolderAndWindow, AWindowMustHaveBeenRecordedOrBeInTheHistory) {
  const ScoreTable table = synthetic_table(4, 5, 10);
  PruneOptions options = with("dynunc", false, 0.5);
  options.ranked.window = 5;
  EXPECT_THAT(refused({"", dynamics_of(table, false, 10), ""}, options),
              HasSubstr("without the history of the epochs, from which that of prune.window=5"));
  options.ranked.window = 14;
  EXPECT_THAT(refused({"", dynamics_of(table, true, 10), ""}, options),
              HasSubstr("14 epochs were recorded, but dynunc needs more than its window of 14"));
  options.ranked.window = 1;
  EXPECT_THAT(refused({"", dynamics_of(table, true, 10), ""}, options),
              HasSubstr("window is 1, expected at least 2"));
}

TEST_F(FolderAndWindow, SuspectsAreTheSameOnAnyNumberOfRanks) {
  const ScoreTable table = synthetic_table(5, 20, 30);
  PruneOptions options = with("diffprob", true, 0.5);
  options.cleaning.margin = 0.5;  // some mispredicted samples stay
  const PruneResult result = prune_table(table, options);
  const std::string shared = collectives_.broadcast(folder_.file("."), 0);
  write_pruning(shared, result, collectives_, std::nullopt,
                [](std::int64_t sample) { return "faces, " + std::to_string(sample); });
  collectives_.barrier("written");
  const std::string found = read_bytes(shared + "/" + kSuspectsFile);
  collectives_.barrier("read");

  auto suspects = suspects_of("table", table);
  std::int64_t dropped = 0;
  for (Suspect& suspect : suspects) {
    const bool over =
        static_cast<double>(suspect.top1_log_prob) + static_cast<double>(suspect.nll) > 0.5;
    suspect.dropped = over ? Suspect::Dropped::kYes : Suspect::Dropped::kNo;
    dropped += over ? 1 : 0;
  }
  write_suspects(folder_.file("wanted.csv"), suspects, table.source.margin,
                 [](std::int64_t sample) { return "faces, " + std::to_string(sample); });
  EXPECT_EQ(found, read_bytes(folder_.file("wanted.csv")));
  EXPECT_EQ(dropped, result.mislabelled);
  EXPECT_GT(static_cast<std::int64_t>(suspects.size()), dropped);
}

TEST_F(FolderAndWindow, WithoutCleaningThereIsNoListOfSuspects) {
  static_cast<void>(
      files_written(prune_table(synthetic_table(5, 5, 10), with("diffprob", false, 0.5))));
  EXPECT_FALSE(std::filesystem::exists(collectives_.broadcast(folder_.file(kSuspectsFile), 0)));
}

}  // namespace
}  // namespace diffprob::prune::tests
