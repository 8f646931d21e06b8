#pragma once

#include <c10/core/Device.h>

namespace diffprob::dist {

/// Whether work on the current stream of a GPU is being recorded into a CUDA graph instead of run.
/// False for a device of another kind. One of two sibling files answers: stream_capture_cuda.cpp,
/// or, in a build without CUDA, stream_capture_absent.cpp.
[[nodiscard]] bool is_recording(c10::Device device);

}  // namespace diffprob::dist
