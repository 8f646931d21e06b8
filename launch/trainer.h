#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/loader.h"
#include "dist/gradient_reducer.h"
#include "launch/checkpoint.h"
#include "launch/config.h"
#include "launch/runtime.h"
#include "model/backbone.h"
#include "model/lr_schedule.h"
#include "model/sgd.h"
#include "model/sharded_head.h"

namespace diffprob::launch {

[[nodiscard]] model::MarginOptions margin_options(const Config& config);

/// Loss and share of right predictions since the last time they were taken; lives on the device, so that a step never waits for it.
struct RunningMeans {
  double loss = 0;
  double accuracy = 0;
};

/// Network, head, optimisers and reducer of one training, and its step. One per rank; every member is collective.
class Trainer {
 public:
  Trainer(const Config& config, std::int64_t num_classes, std::uint64_t seed, Runtime& runtime);

  /// One update on this rank's rows of global batch number `step`.
  void step(const data::Batch& batch, std::int64_t step, double learning_rate);
  /// Over all ranks, since the last call.
  [[nodiscard]] RunningMeans take_means();
  /// Gives all ranks the same BatchNorm statistics: their mean. Before evaluation and checkpoints.
  void average_statistics();

  [[nodiscard]] model::Backbone& backbone() noexcept { return *backbone_; }
  /// Live tensors: save_checkpoint reads them, load_checkpoint copies into them.
  [[nodiscard]] CheckpointState state();

 private:
  const Config& config_;
  std::uint64_t seed_;
  Runtime& runtime_;
  std::shared_ptr<model::Backbone> backbone_;
  model::ShardedHead head_;
  std::vector<at::Tensor> parameters_;
  dist::GradientReducer reducer_;
  model::Sgd backbone_sgd_;
  model::Sgd head_sgd_;
  std::vector<std::int64_t> rows_;  ///< of the global batch, a rank
  at::Tensor sums_;                 ///< [3] float64: loss, right predictions, rows of this rank
  std::int64_t steps_since_ = 0;
};

}  // namespace diffprob::launch
