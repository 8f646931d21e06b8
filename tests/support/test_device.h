#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include <c10/core/Device.h>

#include "dist/communicator.h"
#include "dist/gpu/device_request.h"

namespace diffprob::tests {

/// Set in a program that links nccl_on_fake.cpp: a device of each rank, and a communicator of its
/// tensors.
struct PretendedDevices {
  at::Device (*device)() = nullptr;
  std::unique_ptr<dist::Communicator> (*connect)(at::Device) = nullptr;
};
inline PretendedDevices pretended_devices;

/// Device that a test runs on: DIFFPROB_TEST_DEVICE, cpu or cuda (then the first GPU; ctest entries
/// that end in .gpu set it) or fake (see fake_device.h; entries of *_on_fake). Default: cpu.
[[nodiscard]] inline at::Device test_device() {
  const char* wanted = std::getenv("DIFFPROB_TEST_DEVICE");
  if (wanted != nullptr && std::string(wanted) == "fake") return pretended_devices.device();
  return wanted == nullptr || std::string(wanted) == "cpu" ? at::Device(at::kCPU)
                                                           : at::Device(at::kCUDA, 0);
}

/// What a configuration asks for to run on test_device().
[[nodiscard]] inline dist::DeviceRequest test_device_request() {
  return test_device().is_cuda() ? dist::DeviceRequest::kCuda : dist::DeviceRequest::kCpu;
}

/// Collective. For tensors on that device: MPI or NCCL.
[[nodiscard]] inline std::unique_ptr<dist::Communicator> make_test_communicator() {
  if (!test_device().is_cpu() && !test_device().is_cuda())
    return pretended_devices.connect(test_device());
  return test_device().is_cuda() ? dist::make_nccl_communicator(test_device())
                                 : dist::make_mpi_communicator();
}

}  // namespace diffprob::tests
