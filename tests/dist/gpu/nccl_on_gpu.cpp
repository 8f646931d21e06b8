#include <gtest/gtest.h>

#include <torch/cuda.h>
#include <cstdlib>

#include "tests/dist/gpu/nccl_under_test.h"
#include "tests/dist/ranks.h"

namespace diffprob::tests {

NcclUnderTest make_nccl_under_test() {
  if (!torch::cuda::is_available())
    return {at::kCPU, nullptr, "DIFFPROB_TEST_SKIPPED_ENTIRELY: no CUDA device"};
  const bool shared = std::getenv("DIFFPROB_TEST_SHARED_GPU") !=
                      nullptr;  // NCCL takes the ranks for hosts: NCCL_HOSTID
  if (!shared && static_cast<int>(torch::cuda::device_count()) < world_size()) {
    EXPECT_THROW((void)dist::make_nccl_communicator(at::Device(at::kCUDA, 0)),
                 c10::Error);  // two ranks on one GPU
    return {at::kCPU, nullptr, "fewer GPUs than ranks"};
  }
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(shared ? 0 : world_rank()));
  return {device, dist::make_nccl_communicator(device), ""};
}

}  // namespace diffprob::tests
