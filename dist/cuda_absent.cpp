#include "dist/cuda_device.h"

namespace diffprob::dist {

CudaDevices find_cuda_devices() {
  return {0, "this build has no CUDA (DIFFPROB_WITH_CUDA was OFF)", "CUDA: not compiled in"};
}

}  // namespace diffprob::dist
