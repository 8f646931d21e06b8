#pragma once

#include <string>

#include <c10/core/Device.h>

#include "dist/gpu/device_request.h"
#include "dist/mpi/environment.h"

namespace diffprob::dist {

/// Resolves a request; throws c10::Error when it asks for a GPU and there is none. All ranks must
/// get the same kind; a node with more local ranks than GPUs is an error that says so. A rank that
/// sees a single GPU takes it (Slurm's --gpus-per-task=1, CUDA_VISIBLE_DEVICES of one);
/// make_nccl_communicator refuses two ranks on one. Collective.
[[nodiscard]] at::Device choose_device(DeviceRequest request, const MpiEnvironment& mpi);

/// Makes the device the current one of the calling thread: LibTorch and CUDA take that for every
/// call that names none, graph captures and synchronisation among them. Before anything else
/// touches CUDA, since the first call makes a context on the device that is current then. Does
/// nothing for a CPU.
void make_current(at::Device device);

/// One line for `diffprob info`: what CUDA was compiled in, what driver and devices are there.
[[nodiscard]] std::string describe_devices();

}  // namespace diffprob::dist
