#pragma once

#include <string>
#include <vector>

#include "launch/config/config.h"
#include "prune/prune.h"

namespace diffprob::launch {

/// Options of the pruning that the configuration asks for.
[[nodiscard]] prune::PruneOptions prune_options(const Config& config);
/// Progress of a pruning as a log line every few seconds.
[[nodiscard]] prune::PruneWork prune_work();

/// What people should look at before they train on the result: much that cleaning dropped, a ratio
/// that was not reached and why.
[[nodiscard]] std::vector<std::string> pruning_warnings(const prune::PruneResult& result);

}  // namespace diffprob::launch
