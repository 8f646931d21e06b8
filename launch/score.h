#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"
#include "launch/config.h"
#include "launch/runtime.h"
#include "model/backbone.h"
#include "model/sharded_head.h"
#include "prune/score_table.h"

namespace diffprob::launch {

/// A network and its head, read from a checkpoint for scoring, verification or export. What they are comes from the checkpoint.
struct LoadedModel {
  std::shared_ptr<model::Backbone> backbone;  ///< on the run's device, in evaluation mode
  std::unique_ptr<model::ShardedHead> head;
  std::string fingerprint;
};
/// Collective.
[[nodiscard]] LoadedModel load_model(const std::string& checkpoint, Runtime& runtime);

/// Every sample exactly once, in evaluation mode, without augmentation. The same table on every rank. Collective.
[[nodiscard]] prune::ScoreTable score(const std::shared_ptr<const data::Dataset>& dataset, LoadedModel& model, const Config& config,
                                      Runtime& runtime);

}  // namespace diffprob::launch
