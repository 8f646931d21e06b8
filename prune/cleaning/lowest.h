#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dist/mpi/host_collectives.h"

namespace diffprob::prune {

/// Which of this rank's values (none negative, no NaN) are among the `count` smallest of all ranks;
/// equal values: the smaller index first. `indices`: of the samples, all different. Counts of
/// digits are summed, nothing is gathered: the same for any number of ranks. Collective.
[[nodiscard]] std::vector<bool> lowest_of_all(std::span<const double> values,
                                              std::span<const std::int64_t> indices,
                                              std::int64_t count,
                                              dist::HostCollectives& collectives);

}  // namespace diffprob::prune
