#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "launch/config/config.h"
#include "model/head/head_sgd.h"
#include "model/head/sharded_head.h"
#include "model/optim/adamw.h"
#include "model/weights/weights.h"

namespace diffprob::launch {

/// Updates the class centres of this rank. SGD takes their gradients chunk by chunk, so that none
/// the size of the shard exists; AdamW, and accumulation with a margin that changes other classes,
/// go through weight().grad().
class HeadOptimizer {
 public:
  /// Throws c10::Error on a combination of options that cannot be had. The head must outlive it.
  HeadOptimizer(const TrainConfig& train, model::ShardedHead& head);

  /// Where forward_backward is to put the gradients of micro-batch `micro`.
  [[nodiscard]] model::CentreGradients gradients(std::int64_t micro) const;
  /// Once a step, after all micro-batches. `step`: number of the update; device_step: of a captured
  /// one, else undefined (see HeadSgd::begin_step).
  void step(const model::StepControl& control, std::int64_t step,
            const at::Tensor& device_step = {});

  /// Live tensors [C_r, ...] for checkpoints: "momentum", or "exp_avg" and "exp_avg_sq".
  [[nodiscard]] model::StateDict rows();
  /// Live tensors that all ranks hold alike: AdamW's count of steps.
  [[nodiscard]] model::StateDict replicated();

 private:
  model::ShardedHead& head_;
  std::unique_ptr<model::HeadSgd> by_rows_;
  std::unique_ptr<model::Optimizer> whole_;
};

}  // namespace diffprob::launch
