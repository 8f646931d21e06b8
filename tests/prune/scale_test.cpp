// A million samples: the same result as identity by identity; times are printed, never decided.
#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>

#include "prune/sorted_identities.h"
#include "prune/threshold_search.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

class Stopwatch {
 public:
  void lap(const char* what) {
    const auto now = std::chrono::steady_clock::now();
    std::printf("%s: %.3f s\n", what, std::chrono::duration<double>(now - start_).count());
    start_ = std::chrono::steady_clock::now();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TEST(PruneScale, AMillionSamples) {
  constexpr std::int64_t kIdentities = 21500;
  const ScoreTable table = synthetic_table(1, kIdentities, 47);
  ASSERT_GT(table.labels.size(), 1000000U);
  const std::vector<Reason> usable(table.labels.size(), Reason::kKept);
  const auto score = [&](std::uint32_t i) { return score_from_nll(table.records[i].nll, i); };
  Stopwatch watch;
  const IdentityGroups groups(table.labels, kIdentities);
  watch.lap("group");
  const SortedIdentities sorted(groups, {0, kIdentities}, usable, Preset::kDefault, score);
  watch.lap("score and sort");
  const auto search = search_threshold(sorted.usable() / 4, sorted.usable(), [&](double t) {
    return sorted.count_kept({t, 5, Preset::kDefault});
  });
  watch.lap("search");
  std::vector<Reason> reasons = usable;
  sorted.select({search.threshold, 5, Preset::kDefault}, reasons);
  watch.lap("select");
  std::printf("%zu samples, %zu thresholds tried\n", reasons.size(), search.curve.size());

  EXPECT_EQ(Selection{reasons}.kept(), search.kept);
  auto in_parts = usable;
  for (std::int64_t c = 0; c < kIdentities; c += 997) {
    const IdentityRange part{c, std::min(c + 997, kIdentities)};
    SortedIdentities(groups, part, usable, Preset::kDefault, score).select({search.threshold, 5, Preset::kDefault}, in_parts);
  }
  EXPECT_EQ(in_parts, reasons);
}

TEST(PruneScale, RanksShareSamplesEvenlyAndLeaveNoIdentityOut) {
  const ScoreTable table = synthetic_table(2, 500, 20);
  const IdentityGroups groups(table.labels, 500);
  for (const int ranks : {1, 2, 3, 7, 64}) {
    std::int64_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto range = identities_of_rank(groups, rank, ranks);
      EXPECT_EQ(range.first, next);
      EXPECT_GE(range.last, range.first);
      next = range.last;
      const double samples =
          static_cast<double>(groups.begin[static_cast<std::size_t>(range.last)] - groups.begin[static_cast<std::size_t>(range.first)]);
      EXPECT_NEAR(samples, static_cast<double>(table.labels.size()) / ranks, 41) << "one identity at most, of up to 40 samples";
    }
    EXPECT_EQ(next, 500);
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
