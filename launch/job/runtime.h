#pragma once

#include <memory>
#include <vector>

#include "dist/communicator.h"
#include "dist/mpi/environment.h"
#include "dist/mpi/host_collectives.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// What a process of a running job holds: ranks, its device, control traffic (MPI) and tensor
/// traffic (NCCL, or MPI on CPUs). Collective: all ranks make it together, from the same
/// configuration (agreed_config).
class Runtime {
 public:
  Runtime(dist::MpiEnvironment& mpi, const Config& config);
  /// On the device of tensor traffic that is there already, whatever config.device says; for tests
  /// on pretended devices.
  Runtime(dist::MpiEnvironment& mpi, const Config& config,
          std::unique_ptr<dist::Communicator> tensors);

  [[nodiscard]] int rank() const noexcept { return mpi_.rank(); }
  [[nodiscard]] int world_size() const noexcept { return mpi_.world_size(); }
  [[nodiscard]] bool is_root() const noexcept { return rank() == 0; }
  /// Node, local rank and host name.
  [[nodiscard]] const dist::MpiEnvironment& mpi() const noexcept { return mpi_; }
  [[nodiscard]] at::Device device() const noexcept { return tensors_->device(); }
  [[nodiscard]] dist::HostCollectives& control() noexcept { return control_; }
  [[nodiscard]] dist::Communicator& tensors() noexcept { return *tensors_; }
  /// Number of the update that collectives from now on belong to, for messages.
  void set_step(std::int64_t step) noexcept {
    control_.set_step(step);
    tensors_->set_step(step);
  }
  /// Rows of a global batch on every rank.
  [[nodiscard]] std::vector<std::int64_t> rows_per_rank(std::int64_t global_batch) const;

 private:
  void take_device(at::Device device, const Config& config);
  void start();

  dist::MpiEnvironment& mpi_;
  dist::HostCollectives control_;
  std::unique_ptr<dist::Communicator> tensors_;
};

}  // namespace diffprob::launch
