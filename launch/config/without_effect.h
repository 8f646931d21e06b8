#pragma once

#include <string>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::launch {

/// Returns true if a command reads a key of the configuration.
[[nodiscard]] bool reads_key(const std::string& command, const std::string& key);

/// Keys that were given, but change nothing in this job: one line for each, with the reason and
/// what to do. A key of another command counts when it stands on the command line, for one file
/// serves all commands; a key that another key switches off counts wherever it was given.
[[nodiscard]] std::vector<std::string> without_effect(const std::string& command,
                                                      const Config& config);

}  // namespace diffprob::launch
