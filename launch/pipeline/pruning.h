#pragma once

#include "launch/config/config.h"
#include "prune/prune.h"

namespace diffprob::launch {

/// Options of the pruning that the configuration asks for.
[[nodiscard]] prune::PruneOptions prune_options(const Config& config);
/// Progress of a pruning as a log line every few seconds.
[[nodiscard]] prune::PruneWork prune_work();

}  // namespace diffprob::launch
