// What pruning refuses, with the same message on all ranks.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/files/hdf5_file.h"
#include "prune/prune.h"
#include "tests/prune/prune_cases.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

using PruneRefusals = PruneTest;

TEST_F(PruneRefusals, BadOptionsAndScoresAreRefusedOnAllRanks) {
  const ScoreTable good = synthetic_table(5, 20, 10);
  const auto refused = [&](auto&& change) {
    PruneOptions options;
    change(options);
    return refusal(good, options);
  };
  for (const double ratio : {0.0, -0.5, 1.01, std::nan("")}) {
    EXPECT_THAT(refused([&](auto& o) { o.keep_ratio = ratio; }), HasSubstr("keep_ratio is"));
  }
  for (const double threshold : {0.0, -1e-5, std::nan("")}) {
    EXPECT_THAT(refused([&](auto& o) { o.diffprob.threshold = threshold; }),
                HasSubstr("threshold is"));
  }
  EXPECT_THAT(refused([](auto& o) { o.diffprob.floor.min_kept = 0; }), HasSubstr("min_kept is 0"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kNone, o.keep_ratio = 0.5; }),
              HasSubstr("has no keep_ratio"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kRandom, o.random.fraction = 2; }),
              HasSubstr("fraction is 2"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kEl2n, o.ranked.fraction = -1; }),
              HasSubstr("fraction is -1"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kBalanced; }),
              HasSubstr("prune: method balanced needs a keep_ratio"));
  EXPECT_THAT(refused([](auto& o) {
                o.method = Method::kBalancedEasy, o.keep_ratio = 0.5, o.balanced.easy_share = 0;
              }),
              HasSubstr("easy_share is 0"));
  EXPECT_THAT(
      refused([](auto& o) { o.method = Method::kDeep, o.keep_ratio = 0.5, o.balanced.depth = 0; }),
      HasSubstr("depth is 0"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kCcs; }),
              HasSubstr("ccs needs a keep_ratio"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kCcs, o.keep_ratio = 0.5, o.ccs.beta = 1; }),
              HasSubstr("beta is 1"));
  EXPECT_THAT(
      refused([](auto& o) { o.method = Method::kCcs, o.keep_ratio = 0.5, o.ccs.strata = 0; }),
      HasSubstr("0 strata"));
  EXPECT_THAT(refused([](auto& o) { o.cleaning.margin = -1; }), HasSubstr("clean_margin is -1"));
  for (const double precision : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THAT(refused([&](auto& o) { o.cleaning.precision = precision; }),
                HasSubstr("clean_precision is"));
  }
  EXPECT_THAT(refused([](auto& o) { o.cleaning.precision = 0.9, o.cleaning.margin = 1; }),
              HasSubstr("expected only one of them above 0"));
  EXPECT_THAT(refused([](auto& o) { o.cleaning.floor = -1; }), HasSubstr("clean_floor is -1"));
  ScoreTable wrong = good;
  for (std::size_t i = 0; i < wrong.labels.size(); ++i)
    wrong.records[i].top1 = (wrong.labels[i] + 1) % 20;
  EXPECT_THAT(refusal(wrong, {}), HasSubstr("no sample is left"));
}

/// Overwrites a value of a good file, since the writer refuses bad ones.
void spoil(const std::string& path, const char* column, std::size_t row, float value) {
  const HdfHandle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const HdfHandle data(H5Dopen2(file.get(), column, H5P_DEFAULT), H5Dclose);
  const HdfHandle space(H5Dget_space(data.get()), H5Sclose);
  const hsize_t start = row;
  const hsize_t one = 1;
  const HdfHandle memory(H5Screate_simple(1, &one, nullptr), H5Sclose);
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &one, nullptr);
  ASSERT_GE(H5Dwrite(data.get(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT, &value),
            0);
}

TEST_F(PruneRefusals, BadRowsAreNamedOnAllRanks) {
  const ScoreTable table = synthetic_table(5, 40, 10);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto refused = [&](const char* file, const char* column, float value,
                           const PruneOptions& options) {
    const PruneFiles files = files_of(table);
    spoil(std::string(file) == "scores" ? files.scores : files.dynamics, column, 70, value);
    return message_of<PruneError>(
        [&] { static_cast<void>(prune(files, options, collectives_, work())); });
  };
  const PruneOptions plain = with("diffprob", false, {});
  EXPECT_THAT(refused("scores", "nll", nan, plain), HasSubstr("1 bad values: row 70: nll is nan"));
  EXPECT_THAT(refused("scores", "nll", -0.5F, plain), HasSubstr("row 70: nll is -0.5"));
  EXPECT_THAT(refused("scores", "probability", 1.5F, reference(plain)),
              HasSubstr("row 70: probability is 1.5"));
  EXPECT_THAT(refused("scores", "top1", 4000, with("none", true, {})),
              HasSubstr("row 70: top1 is 4000"));
  EXPECT_THAT(refused("scores", "label", 4000, plain), HasSubstr("row 70: label is 4000"));
  EXPECT_THAT(refused("scores", "sum_p2", nan, with("el2n", false, 0.5)),
              HasSubstr("row 70: sum_p2 is nan"));
  EXPECT_THAT(refused("dynamics", "uncertainty", nan, with("dynunc", false, 0.5)),
              HasSubstr("row 70: uncertainty is"));
  EXPECT_THAT(
      refused("dynamics", "aum", std::numeric_limits<float>::infinity(), with("aum", false, 0.5)),
      HasSubstr("row 70: aum is inf"));
  EXPECT_THAT(refused("dynamics", "forgetting", -1, with("forgetting", false, 0.5)),
              HasSubstr("row 70: forgetting is -1"));
  PruneOptions mean = plain;
  mean.score = ScoreKind::kMean;
  EXPECT_THAT(refused("dynamics", "mean_probability", 2, mean),
              HasSubstr("row 70: mean_probability is 2"));
  EXPECT_EQ(refused("scores", "norm", nan, plain), "")
      << "columns that the method does not need are not read";
}

TEST_F(PruneRefusals, FilesThatCannotGiveWhatIsAskedAreRefused) {
  ScoreTable table = synthetic_table(5, 20, 10);
  const PruneFiles files = files_of(table);
  const auto refused = [&](const PruneFiles& some, const PruneOptions& options) {
    return message_of<PruneError>(
        [&] { static_cast<void>(prune(some, options, collectives_, work())); });
  };
  PruneOptions confident = with("none", true, {});
  confident.cleaning.rule = CleanRule::kConfident;
  EXPECT_THAT(refused({"", files.dynamics, ""}, with("diffprob", false, {})),
              HasSubstr("give prune.scores"));
  EXPECT_THAT(refused({"", files.dynamics, ""}, with("dynunc", true, 0.5)),
              HasSubstr("or prune.clean=false"));
  EXPECT_THAT(refused({files.scores, "", ""}, with("dynunc", true, 0.5)),
              HasSubstr("give prune.dynamics"));
  EXPECT_THAT(refused({files.dynamics, "", ""}, with("random", false, 0.5)),
              HasSubstr("expected 'diffprob-scores'"));
  EXPECT_EQ(refused({"", files.dynamics, ""}, with("random", false, 0.5)), "")
      << "labels come from either file";
  EXPECT_EQ(refused({files.scores, "", ""}, with("random", false, 0.5)), "");
  EXPECT_THAT(refused({files.scores, "", "another"}, with("diffprob", true, 0.5)),
              HasSubstr("to a different data set"));
  EXPECT_EQ(
      refused({files.scores, "", table.source.dataset_fingerprint}, with("diffprob", true, 0.5)),
      "");
  table.source.margin = 0.35;
  const std::string margin = folder_.file("margin.h5");
  write_scores(margin, table);
  EXPECT_THAT(refused({margin, "", ""}, with("el2n", false, 0.5)),
              HasSubstr("scored with margin 0.35"));
  EXPECT_THAT(refused({margin, "", ""}, confident), HasSubstr("score again with score.margin=0"));
  PruneOptions precise = with("none", true, {});
  precise.cleaning.precision = 0.9;
  EXPECT_THAT(refused({margin, "", ""}, precise), HasSubstr("score again with score.margin=0"));
  EXPECT_EQ(refused({margin, "", ""}, with("diffprob", true, 0.5)), "");
  DynamicsTable dynamics = synthetic_dynamics(table);
  dynamics.epochs = 10;
  dynamics.rows.forgetting.assign(dynamics.labels.size(), 1);
  const std::string short_training = folder_.file("short.h5");
  write_dynamics(short_training, dynamics);
  EXPECT_THAT(refused({"", short_training, ""}, with("dynunc", false, 0.5)),
              HasSubstr("needs more than its window of 10"));
  dynamics.source.dataset_fingerprint = "other";
  write_dynamics(short_training, dynamics);
  EXPECT_THAT(refused({files.scores, short_training, ""}, with("aum", true, 0.5)),
              HasSubstr("a different data set"));
}

TEST_F(PruneRefusals, FilesThatDifferBetweenRanksAreRefused) {
  if (collectives_.world_size() == 1) GTEST_SKIP() << "one rank";
  ScoreTable table = synthetic_table(5, 20, 10);
  if (collectives_.rank() == 1) table.source.dataset_fingerprint = "other";

  EXPECT_THAT(refusal(table, {}), HasSubstr("rank 1 reads a different file"));
}

TEST_F(PruneRefusals, AFileThatOneRankCannotReadIsAnErrorOnAll) {
  const ScoreTable table = synthetic_table(5, 20, 10);
  PruneFiles files = files_of(table);
  if (collectives_.rank() == collectives_.world_size() - 1)
    files.scores = folder_.file("missing.h5");

  EXPECT_THAT(
      message_of<PruneError>([&] { static_cast<void>(prune(files, {}, collectives_, work())); }),
      HasSubstr("missing.h5"));
}

TEST_F(PruneRefusals, AFolderThatCannotBeWrittenIsAnErrorOnAll) {
  const auto result = prune_table(synthetic_table(5, 20, 10), {});

  EXPECT_THAT(
      message_of<PruneError>([&] { write_pruning(folder_.file("no/such"), result, collectives_); }),
      HasSubstr("cannot create"));
}

}  // namespace
}  // namespace diffprob::prune::tests
