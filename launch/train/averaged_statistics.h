#pragma once

#include "dist/communicator.h"
#include "model/weights/weights.h"

namespace diffprob::launch {

/// Live floating-point buffers of a module by name: BatchNorm's running statistics, which every
/// rank has its own of.
[[nodiscard]] model::StateDict statistics_of(const torch::nn::Module& module);

/// While one lives, statistics are the mean over all ranks; afterwards each rank has its own again,
/// so that verification and checkpoints change nothing in training. Collective.
class AveragedStatistics {
 public:
  AveragedStatistics(model::StateDict statistics, dist::Communicator& communicator);
  ~AveragedStatistics();
  AveragedStatistics(const AveragedStatistics&) = delete;
  AveragedStatistics& operator=(const AveragedStatistics&) = delete;

  /// Copies of this rank's own values, by name; empty in a world of one.
  [[nodiscard]] const model::StateDict& own() const noexcept { return own_; }

 private:
  model::StateDict averaged_;
  model::StateDict own_;
};

}  // namespace diffprob::launch
