#pragma once

#include <cstdint>
#include <span>

#include "prune/select/selection.h"
#include "prune/select/sorted_identities.h"

namespace diffprob::prune {

/// DynUnc, EL2N, forgetting and AUM: of each identity the int(n * fraction) samples at one end of
/// the recorded value.
struct RankedOptions {
  double fraction = 0.5;
  Floor floor;
  Preset preset =
      Preset::kDefault;  ///< equal values: kDefault keeps the smaller index, kReference the larger
  enum class Keep { kHighest, kLowest } keep = Keep::kHighest;
  /// DynUnc: epochs of a window, at least 2; 0: as the dynamics were recorded (10 in the paper).
  std::int64_t window = 0;
};
void check(const RankedOptions& options);

/// EL2N = sqrt(sum p^2 - 2 p_y + 1), without margin: the distance between the predicted
/// probabilities and the one-hot label.
[[nodiscard]] double el2n(float sum_p2, float nll);

/// Keeps the front of each sorted identity. `sorted` holds the values so that the ones to keep come
/// first (kLowest: negated), with Ties::kLast for Preset::kReference.
void select_ranked(const SortedIdentities& sorted, const RankedOptions& options,
                   std::span<Reason> reasons);

}  // namespace diffprob::prune
