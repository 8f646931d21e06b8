#pragma once

#include <array>
#include <string>

namespace diffprob::dist {

/// What this process can use of CUDA; one of two sibling files answers (cuda_device.cpp,
/// cuda_absent.cpp). Never throws for a machine without a driver.
struct CudaDevices {
  int count = 0;
  std::string why_none;     ///< when count is 0
  std::string description;  ///< one line: what was compiled in, the driver, the devices
};

[[nodiscard]] CudaDevices find_cuda_devices();

/// The same for two processes only if they hold the same GPU. Throws std::runtime_error when the
/// device cannot be asked.
using CudaUuid = std::array<char, 16>;
[[nodiscard]] CudaUuid uuid_of_cuda_device(int index);

/// Returns the PCI address of a device as sysfs writes it ("0000:4e:00.0", in lower case), or ""
/// when CUDA does not tell. `index` counts the devices that this process sees. Never throws for a
/// device that is missing.
[[nodiscard]] std::string cuda_pci_address(int index);

}  // namespace diffprob::dist
