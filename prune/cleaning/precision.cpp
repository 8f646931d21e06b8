#include "prune/cleaning/precision.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace diffprob::prune {
namespace {

/// Probability of a wrong label in the middle of a bin.
double wrong_in_bin(std::int64_t bin, double shift) {
  const double margin = MarginCounts::edge(bin) + 0.5 / MarginCounts::kPerNat;
  return 1 / (1 + std::exp(-(margin + shift)));
}

double expected_wrong(const MarginCounts& all, double shift) {
  double sum = 0;
  for (std::int64_t bin = 0; bin < MarginCounts::kBins; ++bin) {
    const std::int64_t count = all.counts()[static_cast<std::size_t>(bin)];
    if (count > 0) sum += static_cast<double>(count) * wrong_in_bin(bin, shift);
  }
  return sum;
}

/// The expected number rises with the shift, so it is bisected.
double shift_for(const MarginCounts& all, double wrong) {
  if (expected_wrong(all, 0) <= wrong) return 0;
  double low = -2.0 * MarginCounts::kLargest;
  double high = 0;
  constexpr int kSteps = 60;
  for (int step = 0; step < kSteps; ++step) {
    const double middle = (low + high) / 2;
    (expected_wrong(all, middle) <= wrong ? low : high) = middle;
  }
  return low;
}

}  // namespace

std::int64_t MarginCounts::bin_of(double margin) {
  // Exact: kPerNat is a power of two, and the sum is of whole numbers.
  const double step = std::ceil(margin * kPerNat) + static_cast<double>(kLargest * kPerNat - 1);
  if (!(step > 0)) return 0;
  return std::min(static_cast<std::int64_t>(std::min(step, static_cast<double>(kBins))), kBins - 1);
}

void MarginCounts::finish(dist::HostCollectives& collectives) {
  collectives.all_reduce(std::span<std::int64_t>(counts_), dist::ReduceOp::kSum);
}

PrecisionChoice choose_margin(const MarginCounts& all, const MarginCounts& suspects, double wrong,
                              double wanted) {
  PrecisionChoice choice;
  choice.wanted = wanted;
  choice.wrong = wrong;
  choice.shift = shift_for(all, wrong);
  double sum = 0;
  for (std::int64_t bin = MarginCounts::kBins - 1; bin >= 0; --bin) {
    const std::int64_t count = suspects.counts()[static_cast<std::size_t>(bin)];
    if (count == 0) continue;
    choice.suspects += count;
    sum += static_cast<double>(count) * wrong_in_bin(bin, choice.shift);
    if (sum < wanted * static_cast<double>(choice.suspects)) continue;
    choice.reached = true;
    choice.margin = MarginCounts::edge(bin);
    choice.dropped = choice.suspects;
    choice.estimate = sum / static_cast<double>(choice.suspects);
  }
  return choice;
}

std::string explanation(const PrecisionChoice& choice) {
  const auto percent = [](double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
    return std::string(text);
  };
  const auto rounded = [](double value, const char* format) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  const std::string estimate =
      "about " + rounded(choice.wrong, "%.0f") + " labels are expected to be wrong; ";
  if (!choice.reached)
    return estimate + "no margin promises " + percent(choice.wanted) +
           " of wrong labels among the " + std::to_string(choice.suspects) +
           " suspects, so none is dropped";
  return estimate + std::to_string(choice.dropped) + " of " + std::to_string(choice.suspects) +
         " suspects have a margin above " + rounded(choice.margin, "%.3f") + ", and " +
         percent(choice.estimate) + " of these are expected to be wrong";
}

}  // namespace diffprob::prune
