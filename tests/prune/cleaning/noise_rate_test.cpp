// The interval of the noise rate on simulated sets of which the rate is known.
#include "prune/cleaning/noise_rate.h"

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

constexpr std::int32_t kClasses = 200;
constexpr int kSamples = 4000;

/// The record of one sample by a network that has not seen its label: the true class has a
/// probability between 0 and 1, mostly near 1, the rest is with some other classes.
struct Simulated {
  std::vector<Evidence> samples;
  std::int64_t flipped = 0;
};

/// share_wrong: of samples of which the network is as sure as ever, but of another class.
Simulated simulate(double rate, double share_wrong, Draws& draws) {
  Simulated set;
  for (int i = 0; i < kSamples; ++i) {
    const auto person = static_cast<std::int32_t>(draws.below(kClasses));
    const bool flip = draws.uniform() < rate;
    const auto label =
        flip ? static_cast<std::int32_t>(
                   (person + 1 + static_cast<std::int32_t>(draws.below(kClasses - 1))) % kClasses)
             : person;
    set.flipped += flip ? 1 : 0;
    const double p = 1 - std::pow(draws.uniform(), 3);
    const double rest = 0.4 * (1 - p) * draws.uniform();  // of the second class
    const auto guess = draws.uniform() < share_wrong ? (person + 1) % kClasses : person;
    const auto second =
        (guess + 1 + static_cast<std::int32_t>(draws.below(kClasses - 1))) % kClasses;
    const bool sure = p >= rest;
    const std::int32_t top1 = sure ? guess : second;
    const double own = label == guess ? p : (label == second ? rest : (1 - p - rest) / kClasses);
    set.samples.push_back({label, top1, std::max(p, rest), std::min(p, rest), own});
  }
  return set;
}

NoiseRate estimate(const Simulated& set) {
  dist::HostCollectives collectives;
  ClassThresholds thresholds(kClasses);
  for (const Evidence& each : set.samples) {
    const auto log_prob = static_cast<float>(std::log(each.own_probability));
    thresholds.add(std::span(&each.label, 1), std::span(&log_prob, 1));
  }
  thresholds.finish(collectives);
  const ConfidentGuess guess(thresholds);
  NoiseCounts counts(kClasses);
  for (const Evidence& each : set.samples) counts.add(each, guess);
  counts.finish(collectives);
  return counts.rate();
}

TEST(NoiseRate, IntervalCoversThePlantedRate) {
  for (const double rate : {0.0, 0.01, 0.05, 0.1, 0.2, 0.4}) {
    Draws draws(static_cast<std::uint64_t>(1000 * rate) + 7);
    int planted = 0;
    double sum = 0;
    double width = 0;
    for (int trial = 0; trial < 100; ++trial) {
      const NoiseRate noise = estimate(simulate(rate, 0, draws));
      planted += noise.low <= rate && rate <= noise.high ? 1 : 0;
      sum += noise.rate;
      width += noise.high - noise.low;
    }
    std::cout << "planted " << rate << ": covered in " << planted << " of 100, mean estimate "
              << sum / 100 << ", mean width " << width / 100 << "\n";
    EXPECT_GE(planted, 90) << rate;
  }
}

TEST(NoiseRate, ConfidentErrorsOfTheNetworkAreCountedAsNoise) {
  Draws draws(5);
  double sum = 0;
  for (int trial = 0; trial < 20; ++trial) sum += estimate(simulate(0.05, 0.03, draws)).rate / 20;

  std::cout << "planted 0.05, 0.03 wrong with confidence: mean estimate " << sum << "\n";
  EXPECT_NEAR(sum, 1 - 0.95 * 0.97, 0.01) << "README.md names this bias";
}

TEST(NoiseRate, WithoutConfidentSamplesNothingIsKnown) {
  dist::HostCollectives collectives;
  NoiseCounts counts(3);
  counts.finish(collectives);

  const NoiseRate noise = counts.rate();

  EXPECT_EQ(noise.low, 0);
  EXPECT_EQ(noise.high, 1);
  EXPECT_THAT(verdict(noise, 0, 0), testing::HasSubstr("nothing is known"));
}

TEST(NoiseRate, VerdictSaysWhetherCleaningIsWorthIt) {
  using testing::HasSubstr;
  EXPECT_THAT(verdict({0.001, 0.0005, 0.002, 100, 1}, 1, 1000), HasSubstr("hardly worth it"));
  EXPECT_THAT(verdict({0.05, 0.04, 0.06, 100, 5}, 60, 1000), HasSubstr("is worth it"));
  EXPECT_THAT(verdict({0.05, 0.04, 0.06, 100, 5}, 130, 1000), HasSubstr("more than twice as many"));
  EXPECT_THAT(verdict({0.01, 0.001, 0.02, 100, 1}, 10, 1000), HasSubstr("is open"));
}

}  // namespace
}  // namespace diffprob::prune::tests
