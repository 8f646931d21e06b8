#pragma once

#include <string>

namespace diffprob::dist {

/// What this process can use of CUDA; one of two sibling files answers (cuda_device.cpp, cuda_absent.cpp). Never throws for a
/// machine without a driver.
struct CudaDevices {
  int count = 0;
  std::string why_none;     ///< when count is 0
  std::string description;  ///< one line: what was compiled in, the driver, the devices
};

[[nodiscard]] CudaDevices find_cuda_devices();

}  // namespace diffprob::dist
