#pragma once

#include <cstdint>

#include "prune/select/identity_counts.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// The fraction of every identity at which random and the ranked methods keep as near to `target`
/// samples as they can, floors and rounding down (fraction.h) included; of two equally near, the
/// one that keeps fewer. `counts`: over all ranks. Pure: the same on every rank.
[[nodiscard]] double matched_fraction(const IdentityCounts& counts, const Floor& floor,
                                      std::int64_t target);

}  // namespace diffprob::prune
