#pragma once

#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/plan/needs.h"

namespace diffprob::launch {

struct CheckedInputs {
  std::vector<std::string> problems;  ///< of all ranks
  DataSize data;                      ///< of the training set, on rank 0 alone
};

/// Everything that a command will need, before its first step: files are opened, verification sets
/// decoded, what the training set shows is compared with the configuration, and the output folder
/// is tried from every rank. A dry run leaves no folder behind. Collective.
[[nodiscard]] CheckedInputs check_inputs(const std::string& command, const Config& config,
                                         bool dry_run, Runtime& runtime);

}  // namespace diffprob::launch
