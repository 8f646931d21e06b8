#include "prune/cleaning/evidence.h"

#include <algorithm>
#include <cmath>

namespace diffprob::prune {
namespace {

constexpr double kLeastThreshold = 2 * kSlack;

double probability_of(float log_prob) {
  return std::min(1.0, std::exp(static_cast<double>(log_prob)));
}

}  // namespace

Evidence evidence_of(std::int32_t label, std::int32_t top1, float top1_log_prob,
                     float second_log_prob, float own_log_prob) {
  return {label, top1, probability_of(top1_log_prob), probability_of(second_log_prob),
          probability_of(own_log_prob)};
}

bool contradicts(const Evidence& evidence) {
  if (evidence.top1 == evidence.label) return false;
  const double own = evidence.own_probability + kSlack;
  if (own == evidence.top1_probability) return evidence.top1 < evidence.label;
  return own < evidence.top1_probability;
}

double normalized_margin(const Evidence& evidence) {
  const double other =
      evidence.top1 == evidence.label ? evidence.second_probability : evidence.top1_probability;
  return (evidence.own_probability - other + 1) / 2;
}

ConfidentGuess::ConfidentGuess(const ClassThresholds& thresholds) : thresholds_(thresholds) {
  for (std::int64_t c = 0; c < thresholds.num_classes(); ++c) {
    Bar next{bar(static_cast<std::int32_t>(c)), static_cast<std::int32_t>(c)};
    for (Bar& each : lowest_)
      if (next.bar < each.bar) std::swap(next, each);
  }
}

double ConfidentGuess::bar(std::int32_t c) const {
  return std::max(thresholds_.of(c), kLeastThreshold) - kSlack;
}

bool ConfidentGuess::top1_is_confident(const Evidence& evidence) const {
  return evidence.top1_probability >= bar(evidence.top1);
}

bool ConfidentGuess::counts_in_batched_form(const Evidence& evidence) const {
  if (evidence.top1 == evidence.label) return false;
  const double least =
      thresholds_.count(evidence.top1) == 0 ? kLeastThreshold - kSlack : bar(evidence.top1);
  return evidence.top1_probability >= least;
}

ConfidentGuess::Guess ConfidentGuess::operator()(const Evidence& evidence) const {
  // Confident or one of several confident ones: either way the guess.
  if (top1_is_confident(evidence)) return {evidence.top1, false};
  Guess guess;
  for (const Bar& each : lowest_) {
    if (each.of == kNone || each.of == evidence.label || each.of == evidence.top1) continue;
    guess.open = evidence.second_probability >= each.bar;
    break;
  }
  if (evidence.top1 != evidence.label && evidence.own_probability >= bar(evidence.label))
    guess.of = evidence.label;
  return guess;
}

}  // namespace diffprob::prune
