#pragma once

#include "launch/cli/commands.h"

namespace diffprob::launch {

/// `diffprob data check PATH ...`: looks at every image of a set. Returns the exit code: 0 when
/// nothing is wrong, else 1. Throws ConfigError on bad usage, DataError when there is nothing to
/// look at or a result cannot be written.
[[nodiscard]] int check_command(const CommandLine& line);

}  // namespace diffprob::launch
