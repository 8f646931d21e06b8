#pragma once

#include <memory>

#include "dist/communicator.h"
#include "dist/mpi/host_collectives.h"

namespace diffprob::dist {

/// make_nccl_communicator without its checks of the device. Collective over `host`. Written on
/// LibTorch's streams and events of any kind of device: tests run it on a pretended one.
[[nodiscard]] std::unique_ptr<Communicator> connect_nccl(at::Device device, HostCollectives& host,
                                                         Deadlines deadlines);

}  // namespace diffprob::dist
