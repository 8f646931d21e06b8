#pragma once

#include <cstdint>
#include <span>

#include "prune/cleaning/rules.h"

namespace diffprob::prune {

/// A sample of a class, as the rules that look at a whole class need it.
struct ClassSample {
  float own_log_prob = 0;
  float top1_log_prob = 0;
  std::int32_t top1 = 0;
  std::int32_t guess = -1;  ///< ConfidentGuess
};

/// Marks what kPruneByClass, kPruneByNoiseRateTop1 or kBothTop1 find among all samples of one class
/// as kMislabelled, in the order of the sample index; equal values: the smaller index. The class's
/// row of the confident joint is calibrated and rounded as in cleanlab, over the guesses that occur
/// alone, but without the factor N / (sum of the whole matrix), which is 1 up to its last bits.
/// Pure.
void mark_class_issues(std::int32_t label, std::span<const ClassSample> samples, CleanRule rule,
                       std::span<Reason> reasons);

}  // namespace diffprob::prune
