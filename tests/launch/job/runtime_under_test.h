#pragma once

#include <memory>

#include "launch/job/runtime.h"
#include "tests/support/mpi_world.h"
#include "tests/support/test_device.h"

namespace diffprob::tests {

/// On test_device(). Collective.
[[nodiscard]] inline std::unique_ptr<launch::Runtime> make_runtime(const launch::Config& config) {
  const bool pretended = !test_device().is_cpu() && !test_device().is_cuda();
  if (pretended) return std::make_unique<launch::Runtime>(mpi(), config, make_test_communicator());
  return std::make_unique<launch::Runtime>(mpi(), config);
}

}  // namespace diffprob::tests
