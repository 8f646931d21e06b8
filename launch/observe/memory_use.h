#pragma once

#include <cstdint>

#include <c10/core/Device.h>

namespace diffprob::launch {

/// Bytes, of this process.
struct MemoryUse {
  std::int64_t host = 0;       ///< resident now
  std::int64_t host_peak = 0;  ///< the most it has been
  std::int64_t device = 0;     ///< in tensors now; 0 on a CPU
  std::int64_t device_peak =
      0;  ///< the most it has been since the start or the last reset_device_peak
};

/// Zeros where the system does not say.
[[nodiscard]] MemoryUse memory_use(c10::Device device);
void reset_device_peak(c10::Device device);

/// Gives memory that the allocator keeps for later tensors back to the device: pieces of a large
/// block could stand in the way of the next one. Does nothing while an exception is on its way: the
/// device may hang in a collective then, this would wait for it, and the process is about to end.
/// Never throws; says so when it fails.
void give_back_kept_memory(c10::Device device) noexcept;

}  // namespace diffprob::launch
