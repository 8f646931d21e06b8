#pragma once

#include <memory>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Returns true if model.checkpoint is a folder of checkpoints, which score one after the other:
/// with their heads, or with class centres from their embeddings (score.head=centroids).
[[nodiscard]] bool scores_folder(const Config& config);

/// Scores a data set with every checkpoint of the folder model.checkpoint into
/// OUTPUT/scores/step_XXXXXXXX.h5, by rising step. What is there already from the same network,
/// data set and settings is not done again; a score file of no checkpoint of the folder is an
/// error. Collective.
void score_checkpoints(const std::shared_ptr<const data::Dataset>& dataset, const Config& config,
                       Runtime& runtime);

}  // namespace diffprob::launch
