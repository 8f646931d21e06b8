#pragma once

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// `diffprob train`, `score` and `prune`: single steps of the pipeline, into the folder `output`.
/// Collective.
void train_command(const Config& config, Runtime& runtime);
void score_command(const Config& config, Runtime& runtime);
void prune_command(const Config& config, Runtime& runtime);

}  // namespace diffprob::launch
