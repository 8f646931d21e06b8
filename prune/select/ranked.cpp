#include "prune/select/ranked.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "prune/error.h"
#include "prune/select/fraction.h"

namespace diffprob::prune {

void check(const RankedOptions& options) {
  check_fraction("prune", options.fraction);
  check(options.floor);
  if (options.window != 0 && options.window < 2)
    throw PruneError("prune: window is " + std::to_string(options.window) +
                     ", expected at least 2, or 0 for that of the recorded dynamics");
}

double el2n(float sum_p2, float nll) {
  const double squared = static_cast<double>(sum_p2) - 2 * std::exp(-static_cast<double>(nll)) + 1;
  return std::sqrt(std::max(squared, 0.0));
}

void select_ranked(const SortedIdentities& sorted, const RankedOptions& options,
                   std::span<Reason> reasons) {
  check(options);
  for (std::int64_t c = 0; c < sorted.identities(); ++c) {
    const auto slots = sorted.slots(c);
    fraction_of(static_cast<std::int64_t>(slots.size()), options.fraction, options.floor)
        .write(slots, reasons);
  }
}

}  // namespace diffprob::prune
