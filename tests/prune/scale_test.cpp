// A million samples: the same result as identity by identity; times are printed, never decided.
#include <chrono>
#include <cstdio>

#include <gtest/gtest.h>

#include "prune/select/threshold_search.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/whole_selection.h"

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
  const auto nll = nll_of(table);
  Stopwatch watch;
  const UsableSlots slots(table.labels, usable, kIdentities);
  watch.lap("group");
  const SortedIdentities sorted = sorted_of(slots, nll, {}, Preset::kDefault);
  watch.lap("score and sort");
  ThresholdCounter counter(sorted, {});
  const auto search = search_threshold(slots.size() / 4, slots.size(),
                                       [&](std::span<const double> t) { return counter.count(t); });
  watch.lap("search");
  std::vector<Reason> reasons = usable;
  slots.decide(reasons, [&](std::span<Reason> r) {
    select_diffprob(sorted, {search.threshold, {5}, Preset::kDefault}, r);
  });
  watch.lap("select");
  std::printf("%zu samples, %zu thresholds tried\n", reasons.size(), search.curve.size());

  EXPECT_EQ(Selection{reasons}.kept(), search.kept);
  // The same again, some identities alone.
  std::int64_t compared = 0;
  for (std::int64_t c = 0; c < kIdentities; c += 997) {
    auto alone = usable;
    select_diffprob_of(nll, {}, table.labels, {c, c + 1}, {search.threshold, {5}, Preset::kDefault},
                       alone);
    for (std::size_t i = 0; i < alone.size(); ++i) {
      if (table.labels[i] != c) continue;
      EXPECT_EQ(alone[i], reasons[i]) << i;
      ++compared;
    }
  }
  EXPECT_GT(compared, 100);
}

TEST(PruneScale, RanksShareSamplesEvenlyAndLeaveNoIdentityOut) {
  const ScoreTable table = synthetic_table(2, 500, 20);
  std::vector<std::int64_t> begin(501, 0);
  for (const auto label : table.labels) ++begin[static_cast<std::size_t>(label) + 1];
  for (std::size_t c = 1; c < begin.size(); ++c) begin[c] += begin[c - 1];
  for (const int ranks : {1, 2, 3, 7, 64}) {
    std::int64_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto range = identities_of_rank(begin, rank, ranks);
      EXPECT_EQ(range.first, next);
      EXPECT_GE(range.last, range.first);
      next = range.last;
      const double samples = static_cast<double>(begin[static_cast<std::size_t>(range.last)] -
                                                 begin[static_cast<std::size_t>(range.first)]);
      EXPECT_NEAR(samples, static_cast<double>(table.labels.size()) / ranks, 41)
          << "one identity at most, of up to 40 samples";
    }
    EXPECT_EQ(next, 500);
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
