#pragma once

#include <string>

#include "launch/config/command_line.h"

namespace diffprob::launch {

/// `diffprob convert FROM TO ...`: scores and lists of samples from one form to another. Returns
/// the exit code; throws ConfigError on bad usage, PruneError and DataError on bad files.
[[nodiscard]] int convert_command(const CommandLine& line);
/// `diffprob data pack FROM OUT [--subset=LIST ...]`.
[[nodiscard]] int pack_command(const CommandLine& line);

/// Throws ConfigError when `to` is the folder of the data set `from`: what is read would be
/// replaced by what is written.
void refuse_same_folder(const std::string& from, const std::string& to);

/// The tables of kinds for `diffprob help convert`.
[[nodiscard]] std::string kinds_text();

}  // namespace diffprob::launch
