#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "prune/tables/scored_samples.h"

namespace diffprob::launch {

enum class SampleOutcome { kKept, kPruned, kCleaned };
inline constexpr std::size_t kOutcomes = 3;
/// Mislabelled and unreadable samples are cleaned away; redundant and duplicate ones pruned.
[[nodiscard]] SampleOutcome outcome_of(prune::Reason reason);

/// Samples of each outcome by probability.
struct ScoreDistribution {
  static constexpr std::size_t kBins = 50;
  static constexpr double
      kLowestNll = 1e-8,
      kHighestNll = 100;  ///< ends of the logarithmic bins; what lies outside counts at the ends
  using Bins = std::array<std::array<double, kBins>, kOutcomes>;
  Bins probability{};  ///< bin k: [k, k + 1) / kBins
  Bins nll{};          ///< -log p; logarithmic bins
};
/// Samples of an identity.
struct IdentityOutcome {
  std::array<std::int32_t, kOutcomes> samples{};
  [[nodiscard]] std::int64_t all() const {
    return std::int64_t{samples[0]} + samples[1] + samples[2];
  }
};
struct ScoreOverview {
  ScoreDistribution distribution;
  std::vector<IdentityOutcome> identities;  ///< [num_classes]
};
[[nodiscard]] ScoreOverview overview_of(const prune::ScoredSamples& samples);

}  // namespace diffprob::launch
