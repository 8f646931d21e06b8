#pragma once

#include <string>

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Everything that a command will need, before its first step: files are opened, verification sets
/// decoded, what the training set shows is compared with the configuration, and the output folder
/// is tried from every rank. Throws ConfigError with all problems on all ranks. A dry run leaves no
/// folder behind. Collective.
void check_inputs(const std::string& command, const Config& config, bool dry_run, Runtime& runtime);

}  // namespace diffprob::launch
