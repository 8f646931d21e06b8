#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace diffprob::tests {

/// This rank's device and communicator for the tests of nccl_communicator_test.cpp: of a real GPU
/// (nccl_on_gpu.cpp), or of a pretended one with a pretended NCCL (nccl_on_fake.cpp).
struct NcclUnderTest {
  at::Device device = at::kCPU;
  std::unique_ptr<dist::Communicator> communicator{};
  std::string why_none{};  ///< when there is no communicator
};
/// Collective; the same answer on all ranks.
[[nodiscard]] NcclUnderTest make_nccl_under_test();

}  // namespace diffprob::tests
