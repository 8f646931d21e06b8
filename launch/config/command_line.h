#pragma once

#include <string>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::launch {

/// The command line: diffprob COMMAND [CONFIG | PATHS...] [--key=value | --flag]...
struct CommandLine {
  std::string command;
  std::vector<std::string> positional;
  std::vector<Override> overrides;  ///< --key=value
  std::vector<std::string> flags;   ///< --flag, without the dashes
  int dry_ranks = 0;                ///< --dry-run=RANKS; 0: those that run
};

}  // namespace diffprob::launch
