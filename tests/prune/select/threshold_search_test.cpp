#include "prune/select/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/in_memory.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

/// Identities of a synthetic table, counted with one preset.
class Counter {
 public:
  Counter(const ScoreTable& table, Preset preset)
      : preset_(preset),
        slots_(table.labels, std::vector<Reason>(table.labels.size(), Reason::kKept),
               table.source.num_classes),
        sorted_(sorted_of(slots_, nll_of(table), probability_of(table), preset)) {}
  std::int64_t operator()(double threshold) const {
    return count_one(sorted_, {threshold, {5}, preset_});
  }
  [[nodiscard]] std::int64_t usable() const { return slots_.size(); }

 private:
  Preset preset_;
  UsableSlots slots_;
  SortedIdentities sorted_;
};

/// search_threshold with a function of one threshold.
ThresholdSearch search(std::int64_t target, std::int64_t usable,
                       const std::function<std::int64_t(double)>& count) {
  return search_threshold(target, usable, [&](std::span<const double> thresholds) {
    std::vector<std::int64_t> counts;
    for (const double threshold : thresholds) counts.push_back(count(threshold));
    return counts;
  });
}

/// Well spread scores: nothing saturated, so that every ratio above the minimum can be reached.
ScoreTable spread_table() {
  ScoreTable table = synthetic_table(11, 400, 46);
  Draws draws(12);
  for (auto& record : table.records) {
    record.nll = static_cast<float>(std::pow(draws.uniform(), 3) * 2);
    record.probability = static_cast<float>(std::exp(-static_cast<double>(record.nll)));
  }
  return table;
}

/// Every evaluated point is a true count, the curve rises, and no evaluated point is nearer (or as
/// near with a larger threshold).
void check_search(const ThresholdSearch& found, const std::function<std::int64_t(double)>& count) {
  EXPECT_EQ(found.kept, count(found.threshold));
  for (std::size_t i = 0; i < found.curve.size(); ++i) {
    const auto& point = found.curve[i];
    EXPECT_EQ(point.kept, count(point.threshold));
    if (i > 0) {
      EXPECT_LT(found.curve[i - 1].threshold, point.threshold);
    }
    const auto distance = std::abs(point.kept - found.target);
    const auto chosen = std::abs(found.kept - found.target);
    EXPECT_TRUE(distance > chosen || (distance == chosen && point.threshold <= found.threshold))
        << point.threshold;
  }
}

TEST(ThresholdSearch, ReachesTheRatiosOfThePaper) {
  const ScoreTable table = spread_table();
  for (const Preset preset : {Preset::kDefault, Preset::kReference}) {
    const Counter count(table, preset);
    for (const double ratio : {0.9, 0.75, 0.5, 0.25}) {
      const auto target = std::llround(ratio * static_cast<double>(count.usable()));

      const auto found = search(target, count.usable(), std::cref(count));

      check_search(found, count);
      EXPECT_NEAR(static_cast<double>(found.kept), static_cast<double>(target), 3)
          << "ratio " << ratio;
      EXPECT_LE(found.curve.size(), 110U);
      std::printf("ratio %.2f: target %lld, kept %lld, t %.6g, %zu evaluations\n", ratio,
                  static_cast<long long>(target), static_cast<long long>(found.kept),
                  found.threshold, found.curve.size());
    }
  }
}

TEST(ThresholdSearch, SaturatedScoresAreServedAsNearAsTheyAllow) {
  const ScoreTable table = synthetic_table(11, 400, 46);
  for (const Preset preset : {Preset::kDefault, Preset::kReference}) {
    const Counter count(table, preset);
    for (const double ratio : {0.999, 0.5, 0.02}) {
      const auto target = std::llround(ratio * static_cast<double>(count.usable()));

      const auto found = search(target, count.usable(), std::cref(count));

      check_search(found, count);
    }
  }
}

TEST(ThresholdSearch, FindsANearerCountBesideANonMonotoneStep) {
  // Falls through the target 500 but rises by 7 above 0.3, where one plateau lies on the target
  // exactly.
  const auto count = [](double t) -> std::int64_t {
    return t < 0.3 ? 1000 - static_cast<std::int64_t>(t * 1679) : t < 0.301 ? 500 : 400;
  };

  const auto found = search(500, 1000, count);

  check_search(found, count);
  EXPECT_EQ(found.kept, 500);
}

TEST(ThresholdSearch, TakesTheFirstFallWhenTheCountRisesAgain) {
  // What saturated identities do to the reference: everything is kept at large thresholds too.
  const auto count = [](double t) -> std::int64_t {
    return std::llround(1000 * std::min(1.0, std::abs(std::log2(t) + 15) / 10));
  };

  const auto found = search(300, 1000, count);

  check_search(found, count);
  EXPECT_EQ(found.kept, 300);
}

TEST(ThresholdSearch, UnreachableTargetsGiveTheNearestEnd) {
  const auto count = [](double t) -> std::int64_t { return t < 1e-3 ? 600 : 100; };

  const auto most = search(900, 1000, count);
  const auto least = search(50, 1000, count);

  EXPECT_EQ(most.kept, 600);
  EXPECT_NEAR(most.threshold, 1e-3, 1e-7)
      << "the largest threshold that keeps as many as can be kept";
  EXPECT_EQ(least.kept, 100);
  EXPECT_EQ(least.threshold, 1.0);
}

TEST(ThresholdSearch, IsDeterministic) {
  const Counter count(synthetic_table(13, 100, 30), Preset::kDefault);
  std::vector<double> first;
  std::vector<double> second;
  const auto record_into = [&](std::vector<double>& tried) {
    return search(count.usable() / 2, count.usable(),
                  [&](double t) { return tried.push_back(t), count(t); });
  };

  const auto a = record_into(first);
  const auto b = record_into(second);

  EXPECT_EQ(first, second) << "the same evaluations in the same order";
  EXPECT_EQ(a.threshold, b.threshold);
}

TEST(ThresholdSearch, TargetOutOfRangeIsAnError) {
  const auto count = [](double) -> std::int64_t { return 10; };
  for (const std::int64_t target : {-1, 0, 11}) {
    EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(search(target, 10, count)); }),
                HasSubstr("expected 1 to 10"));
  }
}

}  // namespace
}  // namespace diffprob::prune::tests
