#include "dist/gpu/cuda_device.h"

#include <stdexcept>

namespace diffprob::dist {

CudaDevices find_cuda_devices() {
  return {0, "this build has no CUDA (DIFFPROB_WITH_CUDA was OFF)", "CUDA: not compiled in"};
}

CudaUuid uuid_of_cuda_device(int /*index*/) {
  throw std::runtime_error(find_cuda_devices().why_none);
}

std::string cuda_pci_address(int /*index*/) {
  return "";
}

}  // namespace diffprob::dist
