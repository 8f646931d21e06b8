#pragma once

#include "launch/config/command_line.h"

namespace diffprob::launch {

/// The configuration of a command line: its first positional argument, if any, is the YAML file.
/// Throws ConfigError, also when there is no such file or more than one positional argument.
[[nodiscard]] Config read_config(const CommandLine& line);
/// The text of that file, or "".
[[nodiscard]] std::string read_config_text(const CommandLine& line);

}  // namespace diffprob::launch
