#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include <ATen/Context.h>

#include "dist/gpu/cuda_device.h"

namespace diffprob::tests {

/// First thing in a test's main. False, with the reason printed: the test asks for a GPU and there
/// is none, so all of it is skipped. In tests float32 is not rounded to TF32, and cuDNN takes
/// algorithms that give the same bits again.
[[nodiscard]] inline bool has_test_device() {
  const char* wanted = std::getenv("DIFFPROB_TEST_DEVICE");
  if (wanted == nullptr || std::string(wanted) != "cuda") return true;
  const auto devices = dist::find_cuda_devices();
  if (devices.count == 0) {
    std::printf("DIFFPROB_TEST_SKIPPED_ENTIRELY: no CUDA device: %s\n", devices.why_none.c_str());
    return false;
  }
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setDeterministicCuDNN(true);
  return true;
}

}  // namespace diffprob::tests
