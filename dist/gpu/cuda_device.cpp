#include "dist/gpu/cuda_device.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace diffprob::dist {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string device_text(int index) {
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) return "unreadable";
  std::ostringstream text;
  text << properties.name << " (sm_" << properties.major << properties.minor << ", "
       << (properties.totalGlobalMem >> 30) << " GiB)";
  return text.str();
}

}  // namespace

CudaDevices find_cuda_devices() {
  CudaDevices found;
  int driver = 0;
  int runtime = 0;
  cudaDriverGetVersion(&driver);  // 0 without a driver
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t state = cudaGetDeviceCount(&found.count);
  if (state != cudaSuccess) {
    found.count = 0;
    cudaGetLastError();  // the error must not surface in a later, unrelated call
  }
  if (found.count == 0)
    found.why_none =
        state == cudaSuccess ? "the driver shows no device" : cudaGetErrorString(state);

  found.description = "CUDA: runtime " + version_text(runtime) + ", driver " +
                      (driver == 0 ? "none" : version_text(driver)) + ", ";
  if (found.count == 0) found.description += "no usable device (" + found.why_none + ")";
  for (int i = 0; i < found.count; ++i)
    found.description += (i == 0 ? "" : "; ") + std::to_string(i) + ": " + device_text(i);
  return found;
}

CudaUuid uuid_of_cuda_device(int index) {
  cudaDeviceProp properties{};
  const cudaError_t state = cudaGetDeviceProperties(&properties, index);
  if (state != cudaSuccess)
    throw std::runtime_error("GPU " + std::to_string(index) + ": " + cudaGetErrorString(state));
  CudaUuid uuid{};
  static_assert(sizeof(uuid) == sizeof(properties.uuid));
  std::memcpy(uuid.data(), &properties.uuid, uuid.size());
  return uuid;
}

std::string cuda_pci_address(int index) {
  std::array<char, 32> text{};  // CUDA writes 13 characters, more for a domain beyond 16 bits
  if (cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), index) != cudaSuccess) {
    cudaGetLastError();  // as above
    return "";
  }
  std::string address = text.data();
  std::transform(address.begin(), address.end(), address.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return address;
}

}  // namespace diffprob::dist
