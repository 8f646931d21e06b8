#pragma once

#include <string>

#include "launch/conversion/arguments.h"

namespace diffprob::launch {

/// Writes a folder of prob_E.txt from training dynamics with a history, a folder of score tables,
/// or rows [epochs, samples] of others. A sample that an epoch did not have is 0, as the paper's
/// code has it. Returns the exit code; throws PruneError.
[[nodiscard]] int convert_to_prob_folder(const std::string& from, const std::string& to);
/// Writes the mispredicted samples of a score table as CSV. Returns the exit code; throws
/// PruneError, DataError.
[[nodiscard]] int convert_to_suspects(const std::string& from, const std::string& to,
                                      const ConversionArguments& arguments);

}  // namespace diffprob::launch
