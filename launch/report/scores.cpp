#include "launch/report/scores.h"

#include <algorithm>
#include <cmath>

namespace diffprob::launch {
namespace {

std::size_t bin_in(double share, std::size_t bins) {
  return static_cast<std::size_t>(std::clamp(std::floor(share * static_cast<double>(bins)), 0.0,
                                             static_cast<double>(bins - 1)));
}

std::size_t nll_bin(double nll) {
  const double clamped =
      std::clamp(nll, ScoreDistribution::kLowestNll, ScoreDistribution::kHighestNll);
  const double span = std::log(ScoreDistribution::kHighestNll / ScoreDistribution::kLowestNll);
  return bin_in(std::log(clamped / ScoreDistribution::kLowestNll) / span, ScoreDistribution::kBins);
}

}  // namespace

SampleOutcome outcome_of(prune::Reason reason) {
  if (prune::is_kept(reason)) return SampleOutcome::kKept;
  return reason == prune::Reason::kMislabelled || reason == prune::Reason::kUnreadable
             ? SampleOutcome::kCleaned
             : SampleOutcome::kPruned;
}

ScoreOverview overview_of(const prune::ScoredSamples& samples) {
  ScoreOverview overview;
  overview.identities.resize(static_cast<std::size_t>(samples.num_classes()));
  samples.for_each([&](const prune::ScoredSample& sample) {
    const auto outcome = static_cast<std::size_t>(outcome_of(sample.reason));
    ++overview.distribution
          .probability[outcome][bin_in(sample.probability, ScoreDistribution::kBins)];
    ++overview.distribution.nll[outcome][nll_bin(sample.nll)];
    ++overview.identities[static_cast<std::size_t>(sample.label)].samples[outcome];
  });
  return overview;
}

}  // namespace diffprob::launch
