#pragma once

#include <c10/core/Device.h>

namespace diffprob::model {

/// Whether work on the current stream of a GPU is being recorded into a CUDA graph instead of run. False for a CPU.
[[nodiscard]] bool is_recording(at::Device device);

}  // namespace diffprob::model
