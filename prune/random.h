#pragma once

#include <cstdint>
#include <span>

#include "prune/selection.h"

namespace diffprob::prune {

struct RandomOptions {
  double fraction = 0.5;  ///< of each identity's usable samples: int(n * fraction), at least min_kept (all when n <= min_kept)
  std::int64_t min_kept = 5;
  std::uint64_t seed = 1;
  enum class Draw { kRandom, kTail } draw = Draw::kRandom;  ///< kTail: the last ones in index order, as the reference does
};

/// The bar that every method must beat. A draw depends on (seed, identity) alone. Same contract on `reasons` as select_diffprob.
void select_random(const IdentityGroups& groups, IdentityRange range, const RandomOptions& options, std::span<Reason> reasons);

}  // namespace diffprob::prune
