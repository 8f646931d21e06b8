#pragma once

namespace diffprob::dist {

/// Device that a user asks for; choose_device() resolves it.
enum class DeviceRequest {
  kAuto,  ///< the GPU with the node-local rank's index when CUDA is usable, else the CPU
  kCpu,
  kCuda,
};

}  // namespace diffprob::dist
