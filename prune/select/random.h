#pragma once

#include <cstdint>
#include <span>

#include "prune/select/selection.h"

namespace diffprob::prune {

struct RandomOptions {
  double fraction = 0.5;  ///< of each identity's n usable samples: int(n * fraction), at least the
                          ///< floor (all when n <= floor)
  Floor floor;
  std::uint64_t seed = 1;
  enum class Draw {
    kRandom,
    kTail
  } draw = Draw::kRandom;  ///< kTail: the last ones in index order, as the reference does
};
void check(const RandomOptions& options);

/// The bar that every method must beat. A draw depends on (seed, identity) alone. What goes beyond
/// int(n * fraction) is kKeptByFloor.
void select_random(const IdentitySlots& identities, const RandomOptions& options,
                   std::span<Reason> reasons);

}  // namespace diffprob::prune
