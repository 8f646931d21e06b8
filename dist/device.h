#pragma once

#include <string>

#include <c10/core/Device.h>

#include "dist/mpi_environment.h"

namespace diffprob::dist {

/// "auto": the GPU with the node-local rank's index when CUDA is compiled in and usable, else the CPU. "cpu", "cuda": or throw.
/// All ranks must get the same kind; a node with more local ranks than GPUs is an error that says so. Collective.
[[nodiscard]] at::Device choose_device(const std::string& request, const MpiEnvironment& mpi);

/// One line for `diffprob info`: what CUDA was compiled in, what driver and devices are there.
[[nodiscard]] std::string describe_devices();

}  // namespace diffprob::dist
