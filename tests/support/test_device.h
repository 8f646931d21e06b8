#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include <c10/core/Device.h>

#include "dist/communicator.h"

namespace diffprob::tests {

/// Device that a test runs on: DIFFPROB_TEST_DEVICE, cpu or cuda (then the first GPU; ctest entries that end in .gpu set it). Default: cpu.
[[nodiscard]] inline at::Device test_device() {
  const char* wanted = std::getenv("DIFFPROB_TEST_DEVICE");
  return wanted == nullptr || std::string(wanted) == "cpu" ? at::Device(at::kCPU) : at::Device(at::kCUDA, 0);
}

/// Collective. For tensors on that device: MPI or NCCL.
[[nodiscard]] inline std::unique_ptr<dist::Communicator> make_test_communicator() {
  return test_device().is_cuda() ? dist::make_nccl_communicator(test_device()) : dist::make_mpi_communicator();
}

}  // namespace diffprob::tests
