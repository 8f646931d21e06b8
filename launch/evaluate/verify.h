#pragma once

#include <string>
#include <vector>

#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Verifies a network on every set and logs a line for each. Collective.
[[nodiscard]] std::vector<eval::SetReport> verify_sets(const std::string& what,
                                                       std::vector<eval::ResidentSet>& sets,
                                                       model::Backbone& backbone,
                                                       const Config& config, Runtime& runtime);

}  // namespace diffprob::launch
