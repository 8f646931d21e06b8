#pragma once

#include <memory>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Scores a data set with every checkpoint of the folder model.checkpoint into
/// OUTPUT/scores/step_XXXXXXXX.h5, by rising step. What is there already from the same network,
/// data set and settings is not done again; a score file of no checkpoint of the folder is an
/// error. Collective.
void score_checkpoints(const std::shared_ptr<const data::Dataset>& dataset, const Config& config,
                       Runtime& runtime);

}  // namespace diffprob::launch
