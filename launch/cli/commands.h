#pragma once

#include <string>
#include <vector>

#include "dist/mpi/environment.h"
#include "launch/config/command_line.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// Throws ConfigError on what cannot be a command line.
[[nodiscard]] CommandLine parse_command_line(int argc, char** argv);

/// Help of the program, or of one command.
[[nodiscard]] std::string help_text(const std::string& command);
[[nodiscard]] bool is_command(const std::string& command);
[[nodiscard]] std::vector<std::string> command_names();

/// Commands for one process, without MPI: config, convert, data, export, info, report, help.
/// Returns the exit code; -1 when the command needs ranks.
[[nodiscard]] int run_local_command(const CommandLine& line);
/// Commands for all ranks: run, sweep, train, score, prune, eval. Collective. `config_text` is the
/// YAML of line.positional[0], or "".
void run_distributed_command(const CommandLine& line, const Config& config,
                             dist::MpiEnvironment& mpi);

}  // namespace diffprob::launch
