// The margin of prune.clean_precision on simulated sets of which the wrong labels are known.
#include "prune/cleaning/precision.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

constexpr int kSamples = 4000;

struct Simulated {
  std::vector<double> margins;
  std::vector<bool> wrong;
};

/// A network whose margins are honest: normal with mean -deviation^2 / 2 for sound labels and its
/// mirror image for wrong ones, so that exp(m) is the ratio of their densities. `sureness`
/// stretches the margins: above 1 the network is surer than it is right.
Simulated simulate(double rate, double deviation, double sureness, Draws& draws) {
  const auto normal = [&] {
    return std::sqrt(-2 * std::log(1 - draws.uniform())) *
           std::cos(2 * std::acos(-1.0) * draws.uniform());
  };
  Simulated set;
  for (int i = 0; i < kSamples; ++i) {
    const bool wrong = draws.uniform() < rate;
    const double mean = deviation * deviation / 2 * (wrong ? 1 : -1);
    set.margins.push_back(sureness * (mean + deviation * normal()));
    set.wrong.push_back(wrong);
  }
  return set;
}

PrecisionChoice choose(const Simulated& set, double rate, double wanted) {
  MarginCounts all, suspects;
  for (const double margin : set.margins) {
    all.add(margin);
    if (margin > 0) suspects.add(margin);
  }
  return choose_margin(all, suspects, rate * kSamples, wanted);
}

double precision_of(const Simulated& set, double margin) {
  double dropped = 0, wrong = 0;
  for (std::size_t i = 0; i < set.margins.size(); ++i) {
    if (!(set.margins[i] > 0 && set.margins[i] > margin)) continue;
    ++dropped;
    wrong += set.wrong[i] ? 1 : 0;
  }
  return wrong / std::max(dropped, 1.0);
}

TEST(CleanPrecision, AnHonestNetworkReachesWhatWasAskedFor) {
  for (const double rate : {0.02, 0.05, 0.1, 0.2}) {
    for (const double wanted : {0.7, 0.9}) {
      Draws draws(static_cast<std::uint64_t>(1000 * rate + 10 * wanted));
      constexpr int kTrials = 50;
      double sum = 0, recalled = 0;
      int covered = 0;
      for (int trial = 0; trial < kTrials; ++trial) {
        const Simulated set = simulate(rate, 3, 1, draws);
        const PrecisionChoice choice = choose(set, rate, wanted);
        ASSERT_TRUE(choice.reached);
        const double precision = precision_of(set, choice.margin);
        const auto flips =
            static_cast<double>(std::count(set.wrong.begin(), set.wrong.end(), true));
        sum += precision / kTrials;
        recalled += precision * static_cast<double>(choice.dropped) / flips / kTrials;
        // Within what chance does to a share of so many.
        covered += precision +
                       2 * std::sqrt(wanted * (1 - wanted) / static_cast<double>(choice.dropped)) >=
                   wanted;
      }
      std::cout << "planted " << rate << ", wanted " << wanted << ": mean precision " << sum
                << ", recall " << recalled << ", not below it beyond chance in " << covered
                << " of " << kTrials << "\n";
      if (wanted == 0.7 && rate == 0.2)
        EXPECT_GT(sum, wanted) << "all suspects are better than that";
      else
        EXPECT_NEAR(sum, wanted, 0.02);
      EXPECT_GE(covered, 45);
    }
  }
}

TEST(CleanPrecision, AnOverconfidentNetworkFallsShort) {
  Draws draws(3);
  double sum = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const Simulated set = simulate(0.1, 3, 2, draws);
    sum += precision_of(set, choose(set, 0.1, 0.9).margin) / 20;
  }
  std::cout << "margins twice as large as honest ones: wanted 0.9, precision " << sum << "\n";
  EXPECT_LT(sum, 0.9) << "README.md says so";
  EXPECT_GT(sum, 0.6);
}

TEST(CleanPrecision, ChoiceIsTheLongestPrefixOfSortedSamples) {
  Draws draws(11);
  const Simulated set = simulate(0.1, 2, 1, draws);
  for (const double wanted : {0.5, 0.8, 0.95}) {
    const PrecisionChoice choice = choose(set, 0.1, wanted);
    std::vector<double> sorted;
    for (const double margin : set.margins)
      if (margin > 0) sorted.push_back(margin);
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0;
    std::size_t longest = 0;
    for (std::size_t n = 0; n < sorted.size(); ++n) {
      sum += 1 / (1 + std::exp(-(sorted[n] + choice.shift)));
      if (sum >= wanted * static_cast<double>(n + 1)) longest = n + 1;
    }
    EXPECT_NEAR(static_cast<double>(choice.dropped), static_cast<double>(longest), 12)
        << "steps of 1/64 hold several samples";
    EXPECT_GE(choice.estimate, wanted);
  }
}

TEST(CleanPrecision, NothingIsDroppedWhereNoMarginPromisesIt) {
  Draws draws(11);
  const Simulated set = simulate(0.1, 1, 1, draws);

  const PrecisionChoice choice = choose(set, 0.1, 0.999);

  EXPECT_FALSE(choice.reached);
  EXPECT_EQ(choice.dropped, 0);
  EXPECT_GT(choice.suspects, 0);
  EXPECT_THAT(explanation(choice), testing::HasSubstr("so none is dropped"));
  EXPECT_FALSE(choose(set, 0, 0.5).reached) << "no label is expected to be wrong";
}

TEST(CleanPrecision, StepsHoldWhatIsAboveTheirEdge) {
  EXPECT_EQ(MarginCounts::edge(MarginCounts::bin_of(0.5)), 0.5 - 1.0 / 64);
  EXPECT_EQ(MarginCounts::edge(MarginCounts::bin_of(std::nextafter(0.5, 1.0))), 0.5);
  EXPECT_EQ(MarginCounts::bin_of(std::numeric_limits<double>::infinity()), MarginCounts::kBins - 1);
  EXPECT_EQ(MarginCounts::bin_of(-std::numeric_limits<double>::infinity()), 0);
  EXPECT_EQ(MarginCounts::bin_of(std::nan("")), 0);
  EXPECT_EQ(MarginCounts::bin_of(1e300), MarginCounts::kBins - 1);
}

}  // namespace
}  // namespace diffprob::prune::tests
