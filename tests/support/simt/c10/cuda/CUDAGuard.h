#pragma once

#include <c10/core/Device.h>

namespace c10::cuda {

/// Stands in for LibTorch's, where kernels run on the host.
struct CUDAGuard {
  explicit CUDAGuard(c10::Device /*device*/) {}
};

}  // namespace c10::cuda
