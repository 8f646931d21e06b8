#pragma once

#include <optional>

#include "data/sets/dataset.h"
#include "dist/mpi/host_collectives.h"
#include "launch/pipeline/cost.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {

/// Sums the bytes of all encoded images of a set and of those that `set`, an index set of it,
/// keeps. Ranks share the samples; none is decoded. None where the set does not know them, or where
/// an image cannot be looked at any more. Collective; the same on every rank.
[[nodiscard]] std::optional<ImageBytes> image_bytes(const data::Dataset& dataset,
                                                    const prune::IndexSet& set,
                                                    dist::HostCollectives& control);

}  // namespace diffprob::launch
