#pragma once

#include <string>

#include "launch/config/command_line.h"

namespace diffprob::launch {

/// `diffprob completion bash|zsh|man`: prints a completion script, or the manual page. Returns the
/// exit code; throws ConfigError on another word.
[[nodiscard]] int completion_command(const CommandLine& line);

/// Completion of commands, keys and values, made of the list of commands and the schema.
[[nodiscard]] std::string bash_completion();
[[nodiscard]] std::string zsh_completion();

}  // namespace diffprob::launch
