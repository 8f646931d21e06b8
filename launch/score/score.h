#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/score/cost_file.h"
#include "model/head/sharded_head.h"
#include "model/networks/backbone.h"
#include "prune/tables/dynamics.h"
#include "prune/tables/score_table.h"

namespace diffprob::launch {

/// A network and its head, read from a checkpoint for scoring. The checkpoint names their
/// architecture and loss.
struct LoadedModel {
  std::shared_ptr<model::Backbone> backbone;  ///< on the run's device, in evaluation mode
  std::unique_ptr<model::ShardedHead> head;
  std::string fingerprint;
};
/// Loads the network (load_network) and, onto every rank, its rows of the head. Collective.
[[nodiscard]] LoadedModel load_model(const std::string& checkpoint, Runtime& runtime);

/// The part of the configuration that a score file holds.
[[nodiscard]] std::string score_settings(const Config& config);

/// Adds the rows of one batch to `records`. indices: int64 [b], of the samples, on the CPU; scores
/// are on any device, from where each column comes in one copy. Waits for the device. Not
/// collective.
void append_records(const at::Tensor& indices, const model::HeadScores& scores,
                    std::vector<prune::ScoreRecord>& records);

/// Every sample exactly once, in evaluation mode, without augmentation, into the score file `path`,
/// which rank 0 writes. Finished parts lie beside it in NAME.parts until it is there (ScoreParts):
/// a killed scoring started again goes on behind them, on any number of ranks, and on the same
/// number ends with the same bytes. Ranks other than 0 hold one part at a time. Returns the cost
/// over all restarts, as rank 0 has measured it; other ranks know that of this run. Collective.
ScoringCost score(const std::shared_ptr<const data::Dataset>& dataset, LoadedModel& model,
                  const Config& config, const std::string& path, Runtime& runtime);

/// What a training step would record of some samples, from the network as it is: evaluation mode
/// (the backbone stays in it), no augmentation, probability with the head's margin. This rank's
/// part of the records. Collective.
[[nodiscard]] std::vector<prune::EpochRecord> record_samples(
    const std::shared_ptr<const data::Dataset>& dataset, const std::vector<std::int64_t>& samples,
    model::Backbone& backbone, model::ShardedHead& head, const Config& config, Runtime& runtime);

}  // namespace diffprob::launch
