#include "launch/job/runtime.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include "data/loading/sampler.h"
#include "dist/gpu/cuda_device.h"
#include "dist/gpu/device.h"
#include "launch/job/cpu_binding.h"
#include "launch/job/default_stream.h"
#include "launch/job/gpu_arithmetic.h"

namespace diffprob::launch {
namespace {

dist::Deadlines deadlines_of(const Config& config) {
  const auto seconds = [](double s) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(s * 1000));
  };
  return {seconds(config.dist.startup_timeout), seconds(config.dist.step_timeout)};
}

/// Before NCCL, the loader and LibTorch make threads, which inherit it.
void keep_near_gpu(at::Device device) {
  const CpuBinding binding = bind_near_pci_device(dist::cuda_pci_address(device.index()));
  const bool is_slow = binding.outcome == CpuBinding::Outcome::kElsewhere;
  spdlog::log(is_slow ? spdlog::level::warn : spdlog::level::info, "{}", describe(binding));
}

/// After the rank is bound: fewer CPUs are its own then. Collective.
void set_threads(const Config& config, const dist::MpiEnvironment& mpi,
                 dist::HostCollectives& control) {
  int threads = static_cast<int>(config.threads);
  if (threads == 0) {
    const CpuNumbers own = allowed_cpus();
    threads = threads_per_rank(own, cpus_of_node(own, mpi, control));
  }
  at::set_num_threads(threads);
}

}  // namespace

Runtime::Runtime(dist::MpiEnvironment& mpi, const Config& config)
    : mpi_(mpi), control_(deadlines_of(config)) {
  const at::Device device = dist::choose_device(config.device, mpi);
  take_device(device, config);
  tensors_ = device.is_cuda() ? dist::make_nccl_communicator(device, deadlines_of(config))
                              : dist::make_mpi_communicator(deadlines_of(config));
  start();
}

Runtime::Runtime(dist::MpiEnvironment& mpi, const Config& config,
                 std::unique_ptr<dist::Communicator> tensors)
    : mpi_(mpi), control_(deadlines_of(config)), tensors_(std::move(tensors)) {
  take_device(tensors_->device(), config);
  start();
}

/// Collective.
void Runtime::take_device(at::Device device, const Config& config) {
  dist::make_current(device);
  if (device.is_cuda() && config.dist.bind == BindCpus::kAuto) keep_near_gpu(device);
  set_threads(config, mpi_, control_);
  set_gpu_arithmetic(config, device);
  leave_default_stream(device);
}

/// Collective; from here on every wait has the deadline of a step.
void Runtime::start() {
  tensors_->barrier()->wait_host();
  control_.barrier("start-up");
  control_.set_phase(dist::Phase::kStep);
  tensors_->set_phase(dist::Phase::kStep);
  spdlog::info("{} rank{} on {}, {} CPU thread{} on rank 0", world_size(),
               world_size() == 1 ? "" : "s", device().str(), at::get_num_threads(),
               at::get_num_threads() == 1 ? "" : "s");
}

std::vector<std::int64_t> Runtime::rows_per_rank(std::int64_t global_batch) const {
  std::vector<std::int64_t> rows;
  for (int r = 0; r < world_size(); ++r) {
    const auto range = data::rows_of_rank(global_batch, r, world_size());
    rows.push_back(range.end - range.begin);
  }
  return rows;
}

}  // namespace diffprob::launch
