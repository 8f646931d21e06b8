#pragma once

#include "launch/config/command_line.h"

namespace diffprob::launch {

/// diffprob report RUN... [--file=FILE]. Throws ConfigError on bad usage, std::runtime_error on
/// folders that are no runs.
int report_command(const CommandLine& line);

}  // namespace diffprob::launch
