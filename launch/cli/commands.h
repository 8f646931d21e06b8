#pragma once

#include <string>
#include <variant>
#include <vector>

#include "dist/mpi/environment.h"
#include "launch/config/command_line.h"
#include "launch/config/config.h"

namespace diffprob::launch {

class Runtime;

/// Runs in one process, without MPI. Returns the exit code.
using LocalFunction = int (*)(const CommandLine& line);
/// Runs on all ranks together.
using RanksFunction = void (*)(const Config& config, Runtime& runtime);

struct Command {
  std::string name;
  std::string summary;  ///< for the list of `diffprob help`
  std::variant<LocalFunction, RanksFunction> run;

  [[nodiscard]] bool needs_ranks() const { return std::holds_alternative<RanksFunction>(run); }
};

/// All commands, in the order of `diffprob help`.
[[nodiscard]] const std::vector<Command>& commands();
/// Returns null if there is no such command.
[[nodiscard]] const Command* find_command(const std::string& name);

/// Throws ConfigError on what cannot be a command line.
[[nodiscard]] CommandLine parse_command_line(int argc, char** argv);

/// Help of the program, or of one command.
[[nodiscard]] std::string help_text(const std::string& command);

/// Runs a command that needs one process only, or shows help. Returns the exit code; -1 when the
/// command needs ranks.
[[nodiscard]] int run_local_command(const CommandLine& line);
/// Runs a command that needs ranks. Collective.
void run_distributed_command(const CommandLine& line, const Config& config,
                             dist::MpiEnvironment& mpi);

}  // namespace diffprob::launch
