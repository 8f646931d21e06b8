#pragma once

#include <cstdint>

#include "model/networks/options.h"

namespace diffprob::launch {

/// What a network holds in a training step on a host, in float32.
struct NetworkMemory {
  std::int64_t parameters = 0;       ///< numbers
  std::int64_t buffers = 0;          ///< numbers: running statistics
  std::int64_t bytes_per_image = 0;  ///< of tensors at the peak of a step, without the above
};

/// Makes the network and does a step on two, then on three black images, some seconds for a large
/// one. Counts every tensor that is allocated in this process meanwhile: nothing else may run.
/// Throws c10::Error as make_backbone does.
[[nodiscard]] NetworkMemory network_memory(const model::BackboneOptions& options);

}  // namespace diffprob::launch
