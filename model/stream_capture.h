#pragma once

namespace diffprob::model {

/// Whether work on the current CUDA stream is being recorded into a graph instead of run. False in a build without CUDA.
[[nodiscard]] bool is_recording();

}  // namespace diffprob::model
