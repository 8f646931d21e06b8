#pragma once

#include <memory>

#include "dist/communicator.h"

namespace diffprob::tests {

/// The device of this rank, made current. Never the first one, so that nothing is there by chance.
[[nodiscard]] at::Device take_fake_device();
/// NcclCommunicator of this rank on the pretended NCCL. Collective.
[[nodiscard]] std::unique_ptr<dist::Communicator> connect_fake_nccl(at::Device device,
                                                                    dist::Deadlines deadlines = {});

}  // namespace diffprob::tests
