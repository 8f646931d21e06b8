// Folds of identities of every size, and the table that their scores make.
#include "launch/pipeline/folds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "prune/tables/score_table.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::launch {
namespace {

/// Labels alone.
class Labels final : public data::Dataset {
 public:
  explicit Labels(std::vector<std::int64_t> labels) : labels_(std::move(labels)) {}
  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(labels_.size());
  }
  [[nodiscard]] std::int64_t num_classes() const override {
    return 1 + *std::max_element(labels_.begin(), labels_.end());
  }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    return labels_[static_cast<std::size_t>(index)];
  }
  void read(std::int64_t, std::vector<std::byte>&) const override {}
  [[nodiscard]] std::string describe(std::int64_t) const override { return {}; }
  [[nodiscard]] std::string fingerprint() const override { return "labels"; }
  [[nodiscard]] std::string folder() const override { return {}; }

 private:
  std::vector<std::int64_t> labels_;
};

/// Identities of 1, 2, 3, ... samples, mixed.
Labels uneven(std::int64_t classes) {
  std::vector<std::int64_t> labels;
  for (std::int64_t round = 0; round < classes; ++round)
    for (std::int64_t c = round; c < classes; ++c) labels.push_back(c);
  return Labels(labels);
}

TEST(Folds, SplitEveryIdentityEvenly) {
  const Labels labels = uneven(23);
  for (const std::int64_t folds : {2, 5, 10}) {
    const auto dealt = deal_folds(labels, folds, 1);
    std::map<std::int64_t, std::map<std::int32_t, std::int64_t>> counts;
    for (std::int64_t i = 0; i < labels.size(); ++i)
      ++counts[labels.label(i)][dealt[static_cast<std::size_t>(i)]];
    for (const auto& [label, of_fold] : counts) {
      if (label == 0) {
        EXPECT_EQ(of_fold, (std::map<std::int32_t, std::int64_t>{{kEveryFold, 1}}));
        continue;
      }
      std::int64_t most = 0, least = of_fold.size() < static_cast<std::size_t>(folds) ? 0 : 1000;
      for (const auto& [fold, count] : of_fold) {
        ASSERT_GE(fold, 0);
        ASSERT_LT(fold, folds);
        most = std::max(most, count);
        least = std::min(least, count);
      }
      EXPECT_LE(most - least, 1) << label;
    }
    EXPECT_EQ(dealt, deal_folds(labels, folds, 1));
    EXPECT_NE(dealt, deal_folds(labels, folds, 2));
  }
}

TEST(Folds, EachSampleIsScoredOnceByANetworkThatHasNotSeenIt) {
  const Labels labels = uneven(9);
  constexpr std::int64_t kFolds = 4;
  const auto dealt = deal_folds(labels, kFolds, 7);
  std::vector<int> times(static_cast<std::size_t>(labels.size()), 0);
  for (std::int32_t fold = 0; fold < kFolds; ++fold) {
    const FoldParts parts = parts_of_fold(dealt, fold);
    std::vector<bool> seen(times.size(), false), known(9, false);
    for (const std::int64_t i : parts.trained) {
      seen[static_cast<std::size_t>(i)] = true;
      known[static_cast<std::size_t>(labels.label(i))] = true;
    }
    for (const std::int64_t i : parts.scored) {
      ++times[static_cast<std::size_t>(i)];
      EXPECT_EQ(seen[static_cast<std::size_t>(i)], labels.label(i) == 0);
    }
    EXPECT_EQ(std::count(known.begin(), known.end(), false), 0) << "an identity has no sample";
  }
  EXPECT_EQ(std::count(times.begin(), times.end(), 1), labels.size());
}

TEST(Folds, ScoresGoBackToTheirSamples) {
  const Labels labels = uneven(6);
  const auto dealt = deal_folds(labels, 3, 3);
  const tests::ScratchFolder folder;
  std::vector<std::string> files;
  std::vector<std::vector<std::int64_t>> scored;
  for (std::int32_t fold = 0; fold < 3; ++fold) {
    scored.push_back(parts_of_fold(dealt, fold).scored);
    prune::ScoreTable table;
    table.source = {"part", std::string(1, static_cast<char>('a' + fold)), 0, 64, "", 6};
    for (std::size_t row = 0; row < scored.back().size(); ++row) {
      prune::ScoreRecord record;
      record.index = static_cast<std::uint32_t>(row);
      record.norm = static_cast<float>(scored.back()[row]);
      table.records.push_back(record);
      table.labels.push_back(static_cast<std::int32_t>(labels.label(scored.back()[row])));
    }
    files.push_back(folder.file(std::to_string(fold) + ".h5"));
    prune::write_scores(files.back(), table);
  }
  merge_fold_scores(labels, files, scored, folder.file("scores.h5"));
  const prune::ScoreTable whole = prune::read_scores(folder.file("scores.h5"));
  ASSERT_EQ(whole.records.size(), static_cast<std::size_t>(labels.size()));
  for (std::size_t i = 0; i < whole.records.size(); ++i) {
    EXPECT_EQ(whole.records[i].norm, static_cast<float>(i));
    EXPECT_EQ(whole.labels[i], labels.label(static_cast<std::int64_t>(i)));
  }
  EXPECT_EQ(whole.source.dataset_fingerprint, "labels");
}

}  // namespace
}  // namespace diffprob::launch
