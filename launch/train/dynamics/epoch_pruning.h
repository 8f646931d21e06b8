#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "data/loading/kept_places.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "prune/tables/dynamics.h"
#include "prune/while_training/easy_samples.h"

namespace diffprob::launch {

/// Pruning while training (train.prune): which places of an epoch are trained on, and how much
/// their losses count. A function of seed, epoch and the losses of earlier epochs, so that a
/// resumed training, on any number of ranks, decides as the first one did. One per rank.
class EpochPruning {
 public:
  EpochPruning(const Config& config, std::shared_ptr<const data::Dataset> dataset,
               std::uint64_t seed, Runtime& runtime);

  /// Decides for an epoch. `whole`: its order with all samples. `dynamics`: of this rank's samples,
  /// up to the epoch before. Returns null when all places are used: in the first and the last
  /// epochs, and when fewer than a global batch would be left. Each rank decides its share of the
  /// places. Memory: a bit per sample and one per place. Collective.
  [[nodiscard]] std::shared_ptr<const data::KeptPlaces> begin_epoch(
      std::int64_t epoch, const data::EpochPlan& whole, const prune::DynamicsState& dynamics);
  /// By how much the losses of these samples are multiplied in this epoch: float32 like `indices`,
  /// in pinned memory for a GPU. Undefined: all by 1. Not collective.
  [[nodiscard]] at::Tensor weights_of(const at::Tensor& indices) const;

 private:
  [[nodiscard]] std::vector<std::uint64_t> kept_words(std::int64_t epoch,
                                                      const data::EpochPlan& whole) const;

  const Config& config_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::uint64_t seed_;
  Runtime& runtime_;
  bool prunes_ = false;  ///< in this epoch
  prune::SampleBits easy_;
};

}  // namespace diffprob::launch
