#pragma once

#include <cstdint>

#include "launch/config/config.h"
#include "launch/plan/activations.h"

namespace diffprob::launch {

/// Of a training set; 0: not known.
struct DataSize {
  std::int64_t images = 0;
  std::int64_t identities = 0;
};

/// What a training needs on so many ranks. Estimates: nothing of it was measured on the machine
/// that it will run on. Bytes unless said otherwise.
struct Needs {
  std::int64_t parameters = 0;  ///< numbers, of the network
  std::int64_t rows = 0;        ///< images of a micro-batch on the rank that has most
  std::int64_t classes = 0;     ///< of the head on the rank that has most; 0: not known
  /// Of tensors on the device of a rank at the peak of a step.
  struct Memory {
    double network = 0;      ///< weights, statistics, gradients, state of the optimiser, averages
    double head = 0;         ///< centres, state of their optimiser, gathered rows, logits
    double activations = 0;  ///< between forward and backward
    double images = 0;       ///< decoded images that stay (data.resident_gib)
    [[nodiscard]] double sum() const { return network + head + activations + images; }
  };
  Memory fp32;
  Memory fp16;                   ///< with train.precision fp16 or bf16
  double decoded_cache = 0;      ///< memory of the host, a rank (data.cache_gib)
  double checkpoint = 0;         ///< a checkpoint on disk, without what data makes (train.record)
  std::int64_t checkpoints = 0;  ///< at most at a time, with the one that is being written
  std::int64_t steps_per_epoch = 0;  ///< 0: not known
  double head_traffic = 0;           ///< that a rank sends in a step, in a ring
  double gradient_traffic = 0;
};

[[nodiscard]] Needs needs_of(const Config& config, const NetworkMemory& network,
                             const DataSize& data, int ranks);

}  // namespace diffprob::launch
