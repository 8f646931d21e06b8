#pragma once

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// The main job: [synthetic data] -> train the original -> score -> clean and prune -> retrain
/// (run.seeds times, and on random sets of the same size when run.compare_random) -> summary. Every
/// stage is skipped when it was done before from the same inputs. Collective.
void run_pipeline(const Config& config, Runtime& runtime);
/// What can be wrong before a day of training: throws ConfigError when the pruning needs what
/// nothing records. Not collective.
void check_pipeline(const Config& config);

}  // namespace diffprob::launch
