#include "prune/select/random.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/select/matched_fraction.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

std::vector<Reason> select(const std::vector<std::int32_t>& labels, std::int64_t classes,
                           const RandomOptions& options, std::vector<Reason> reasons) {
  select_random_of(labels, {0, classes}, options, reasons);
  return reasons;
}

RandomOptions drawn(double fraction, std::uint64_t seed) {
  return {fraction, {5}, seed, RandomOptions::Draw::kRandom};
}

TEST(MatchedFraction, NoOtherFractionComesNearer) {
  std::vector<std::int64_t> sizes;
  IdentityCounts counts(60);
  for (std::int32_t c = 0; c < 60; ++c) {
    sizes.push_back((c * c * 7) % 41);  // 0 to 40, some at or below the floor
    for (std::int64_t i = 0; i < sizes.back(); ++i) counts.add(c, true);
    counts.add(c, false);  // cleaned away: does not count
  }
  const auto kept = [&](double fraction) {
    std::int64_t sum = 0;
    for (const auto n : sizes)
      sum += n <= 5 ? n
                    : std::max<std::int64_t>(
                          5, static_cast<std::int64_t>(static_cast<double>(n) * fraction));
    return sum;
  };
  for (std::int64_t target = 1; target <= kept(1) + 10; target += 13) {
    std::int64_t nearest = 1 << 30;
    for (int i = 0; i <= 20000; ++i)
      nearest = std::min(nearest, std::abs(kept(i / 20000.0) - target));

    EXPECT_EQ(std::abs(kept(matched_fraction(counts, {5}, target)) - target), nearest) << target;
  }
}

TEST(Random, KeepsTheTruncatedFractionOfEachIdentityButAtLeastTheMinimum) {
  const ScoreTable table = synthetic_table(3, 100, 20);
  std::vector<Reason> usable(table.labels.size(), Reason::kKept);
  for (std::size_t i = 0; i < usable.size(); i += 3) usable[i] = Reason::kMislabelled;
  for (const double fraction : {0.0, 0.1, 0.25, 0.5, 0.9, 1.0}) {
    const auto reasons = select(table.labels, 100, drawn(fraction, 7), usable);

    std::vector<std::int64_t> n(100, 0);
    std::vector<std::int64_t> kept(100, 0);
    std::vector<std::int64_t> by_floor(100, 0);
    for (std::size_t i = 0; i < usable.size(); ++i) {
      const auto c = static_cast<std::size_t>(table.labels[i]);
      n[c] += is_kept(usable[i]);
      kept[c] += is_kept(reasons[i]);
      by_floor[c] += reasons[i] == Reason::kKeptByFloor;
      if (!is_kept(usable[i])) {
        EXPECT_EQ(reasons[i], Reason::kMislabelled);
      }
    }
    for (std::size_t c = 0; c < 100; ++c) {
      const auto part = static_cast<std::int64_t>(static_cast<double>(n[c]) * fraction);
      EXPECT_EQ(kept[c], n[c] <= 5 ? n[c] : std::max<std::int64_t>(part, 5)) << c;
      EXPECT_EQ(by_floor[c], n[c] <= 5 ? 0 : std::max<std::int64_t>(5 - part, 0)) << c;
    }
  }
}

TEST(Random, DrawDependsOnSeedAndIdentityAlone) {
  const ScoreTable table = synthetic_table(4, 50, 20);
  const std::vector<Reason> usable(table.labels.size(), Reason::kKept);
  const auto whole = select(table.labels, 50, drawn(0.5, 1), usable);
  auto parts = usable;
  for (std::int64_t c = 49; c >= 0; --c)
    select_random_of(table.labels, {c, c + 1}, drawn(0.5, 1), parts);

  EXPECT_EQ(parts, whole);
  EXPECT_NE(select(table.labels, 50, drawn(0.5, 2), usable), whole);
}

TEST(Random, IdentitiesOfTheSameSizeAreDrawnDifferently) {
  std::vector<std::int32_t> labels(80, 0);
  std::fill(labels.begin() + 40, labels.end(), 1);

  const auto reasons = select(labels, 2, drawn(0.5, 1), std::vector<Reason>(80, Reason::kKept));

  EXPECT_FALSE(std::equal(reasons.begin(), reasons.begin() + 40, reasons.begin() + 40));
}

TEST(Random, EverySampleIsDrawnEquallyOften) {
  constexpr int kDraws = 20000;
  const std::vector<std::int32_t> labels(10, 0);
  std::vector<double> times(10, 0);
  for (int seed = 0; seed < kDraws; ++seed) {
    const auto reasons = select(labels, 1, drawn(0.6, static_cast<std::uint64_t>(seed)),
                                std::vector<Reason>(10, Reason::kKept));
    for (std::size_t i = 0; i < 10; ++i) times[i] += is_kept(reasons[i]) ? 1 : 0;
  }
  // Binomial, p = 0.6: five standard deviations.
  for (const double n : times) EXPECT_NEAR(n, 0.6 * kDraws, 5 * std::sqrt(kDraws * 0.6 * 0.4));
}

TEST(Random, TailKeepsTheLastUsableOnes) {
  const std::vector<std::int32_t> labels(12, 0);
  std::vector<Reason> usable(12, Reason::kKept);
  usable[10] = Reason::kMislabelled;

  const auto reasons = select(labels, 1, {0.4, {2}, 1, RandomOptions::Draw::kTail}, usable);

  EXPECT_EQ(Selection{reasons}.kept_indices(), (std::vector<std::int64_t>{7, 8, 9, 11}));
}

TEST(Random, BadOptionsAreNamed) {
  const std::vector<std::int32_t> labels(3, 0);
  const auto message = [&](double fraction, std::int64_t minimum) {
    return message_of<PruneError>([&] {
      static_cast<void>(select(labels, 1, {fraction, {minimum}, 1, RandomOptions::Draw::kRandom},
                               std::vector<Reason>(3, Reason::kKept)));
    });
  };
  for (const double fraction : {-0.1, 1.1, std::nan("")})
    EXPECT_THAT(message(fraction, 5), HasSubstr("fraction is"));
  EXPECT_THAT(message(0.5, 0), HasSubstr("min_kept is 0"));
  EXPECT_EQ(message(0.5, 1), "");
}

}  // namespace
}  // namespace diffprob::prune::tests
