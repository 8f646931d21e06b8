#pragma once

#include <string>

#include "launch/config/command_line.h"

namespace diffprob::launch {

/// `diffprob convert FROM TO ...`: scores and lists of samples from one form to another. Returns
/// the exit code; throws ConfigError on bad usage (with `usage`, the help of the command, where
/// arguments are missing), PruneError and DataError on bad files.
[[nodiscard]] int convert_command(const CommandLine& line, const std::string& usage);
/// `diffprob data pack FROM OUT [--subset=LIST ...]`, likewise.
[[nodiscard]] int pack_command(const CommandLine& line, const std::string& usage);

/// `diffprob data apply-proposals FROM PROPOSALS OUT`, likewise.
[[nodiscard]] int apply_proposals_command(const CommandLine& line, const std::string& usage);

/// Throws ConfigError when `to` is the folder of the data set `from`: what is read would be
/// replaced by what is written.
void refuse_same_folder(const std::string& from, const std::string& to);

/// The tables of kinds for `diffprob help convert`.
[[nodiscard]] std::string kinds_text();

}  // namespace diffprob::launch
