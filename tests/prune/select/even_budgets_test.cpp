#include "prune/select/even_budgets.h"

#include <vector>

#include <gtest/gtest.h>

namespace diffprob::prune::tests {
namespace {

IdentityCounts counts_of(const std::vector<std::int64_t>& sizes) {
  IdentityCounts counts(static_cast<std::int64_t>(sizes.size()));
  for (std::size_t c = 0; c < sizes.size(); ++c) {
    for (std::int64_t i = 0; i < sizes[c]; ++i) counts.add(static_cast<std::int32_t>(c), true);
    counts.add(static_cast<std::int32_t>(c), false);  // cleaned away: does not count
  }
  return counts;
}

std::vector<std::int64_t> kept(const std::vector<std::int64_t>& sizes, const Floor& floor,
                               std::int64_t target, std::int64_t depth = 0) {
  const EvenBudgets budgets(counts_of(sizes), floor, target, depth);
  std::vector<std::int64_t> all;
  for (std::size_t c = 0; c < sizes.size(); ++c)
    all.push_back(budgets.of(static_cast<std::int64_t>(c), sizes[c]).in_all);
  return all;
}

using Counts = std::vector<std::int64_t>;

TEST(EvenBudgets, LargeIdentitiesGiveFirst) {
  EXPECT_EQ(kept({9, 2, 5, 30}, {1}, 16), (Counts{5, 2, 4, 5}));  // level 4, two left
  EXPECT_EQ(kept({9, 2, 5, 30}, {1}, 14), (Counts{4, 2, 4, 4}));
  EXPECT_EQ(kept({9, 9, 9, 30}, {1}, 14), (Counts{4, 3, 3, 4}));  // of equal ones the first
}

TEST(EvenBudgets, TheFloorIsOnTop) {
  EXPECT_EQ(kept({9, 2, 5, 30}, {3}, 4), (Counts{3, 2, 3, 3}));
  EXPECT_EQ(kept({9, 2, 5, 30}, {1, 0.5}, 24), (Counts{4, 2, 3, 15}));
}

TEST(EvenBudgets, EverythingWhenTheTargetIsEverything) {
  EXPECT_EQ(kept({9, 2, 0, 30}, {1}, 41), (Counts{9, 2, 0, 30}));
  EXPECT_EQ(kept({9, 2, 0, 30}, {1}, 100), (Counts{9, 2, 0, 30}));
}

TEST(EvenBudgets, WithADepthTheSmallestAreLeftOut) {
  EXPECT_EQ(kept({9, 2, 5, 30}, {1}, 16, 5), (Counts{5, 0, 5, 6})) << "5 + 5 + 5, one left";
  EXPECT_EQ(kept({9, 2, 5, 30}, {1}, 16, 8), (Counts{8, 0, 0, 8}));
  EXPECT_EQ(kept({9, 2, 5, 30}, {1}, 16, 4), (Counts{5, 2, 4, 5})) << "each has its four, or all";
  EXPECT_EQ(kept({9, 9, 9, 30}, {1}, 14, 7), (Counts{7, 0, 0, 7})) << "of equal ones the first";
  EXPECT_EQ(kept({9, 9, 9, 30}, {1}, 26, 8), (Counts{9, 8, 0, 9}));
  EXPECT_EQ(kept({9, 9, 9, 30}, {9}, 26, 2), (Counts{9, 0, 0, 17})) << "the floor is deeper";
  EXPECT_EQ(kept({3, 4}, {1}, 2, 8), (Counts{0, 2})) << "one stays";
  EXPECT_EQ(kept({3, 0, 4}, {1}, 7, 100), (Counts{3, 0, 4}));
}

TEST(EvenBudgets, EveryTargetAboveTheFloorIsMet) {
  const Counts sizes = {1, 40, 3, 0, 17, 17, 17, 8, 5, 2, 64};
  std::int64_t all = 0;
  for (const std::int64_t n : sizes) all += n;
  for (std::int64_t target = 10; target <= all; ++target) {
    std::int64_t sum = 0, fewest = 1000, most = 0;
    const Counts counts = kept(sizes, {1}, target);
    for (std::size_t c = 0; c < sizes.size(); ++c) {
      sum += counts[c];
      most = std::max(most, counts[c]);
      if (counts[c] < sizes[c]) fewest = std::min(fewest, counts[c]);
    }
    EXPECT_EQ(sum, target);
    EXPECT_LE(most, fewest + 1) << target;  // no identity could give to one that has fewer
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
