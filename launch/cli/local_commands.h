#pragma once

#include "launch/cli/commands.h"

namespace diffprob::launch {

/// Commands that need no file of their own. Each returns the exit code and throws ConfigError on
/// bad usage.
[[nodiscard]] int config_command(const CommandLine& line);
[[nodiscard]] int data_command(const CommandLine& line);
[[nodiscard]] int info_command(const CommandLine& line);
/// Shows help: of line.positional[0] for `diffprob help`, of the command for `--help`.
[[nodiscard]] int help_command(const CommandLine& line);

}  // namespace diffprob::launch
