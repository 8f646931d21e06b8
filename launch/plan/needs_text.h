#pragma once

#include <string>

#include "launch/config/config.h"
#include "launch/plan/needs.h"

namespace diffprob::launch {

/// What a command that trains needs on so many ranks, for people: memory, disk, steps, traffic.
/// `command`: "train", "run" or "sweep". What depends on a data set whose size is not known is left
/// out, and said to be.
[[nodiscard]] std::string needs_text(const std::string& command, const Config& config,
                                     const Needs& needs, const DataSize& data, int ranks);

}  // namespace diffprob::launch
