#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/deadlines.h"
#include "dist/reduce_op.h"
#include "dist/work.h"

namespace diffprob::dist {

/// Collectives over tensors. Every operation is collective: all ranks call it, in the same order, with the same numel
/// and dtype. Tensors are contiguous (any memory format that is dense) and live on device(). Dtypes: float32, float64,
/// bfloat16, float16, int32, int64, uint8. Operations are enqueued in order and return at once; buffers must not be touched until the
/// Work has been waited for. Backends: MpiCommunicator (host tensors), NcclCommunicator (CUDA tensors, own stream).
class Communicator {
 public:
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }
  [[nodiscard]] at::Device device() const noexcept { return device_; }

  /// In place.
  [[nodiscard]] std::unique_ptr<Work> all_reduce(at::Tensor tensor, ReduceOp op = ReduceOp::kSum);
  /// output [W * n, ...] = inputs [n, ...] of all ranks in rank order.
  [[nodiscard]] std::unique_ptr<Work> all_gather(at::Tensor output, at::Tensor input);
  /// output [sum counts, ...] = inputs [counts[r], ...]; `counts` is the same on all ranks.
  [[nodiscard]] std::unique_ptr<Work> all_gather_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts);
  /// output [n, ...] = this rank's block of the sum over ranks of input [W * n, ...].
  [[nodiscard]] std::unique_ptr<Work> reduce_scatter(at::Tensor output, at::Tensor input);
  /// output [counts[rank], ...] = this rank's rows of the sum over ranks of input [sum counts, ...].
  [[nodiscard]] std::unique_ptr<Work> reduce_scatter_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts);
  [[nodiscard]] std::unique_ptr<Work> broadcast(at::Tensor tensor, int root);
  [[nodiscard]] std::unique_ptr<Work> barrier();

  /// Not collective: which deadline counts for operations enqueued from now on.
  void set_phase(Phase phase) noexcept { phase_ = phase; }
  /// Ends outstanding operations (their waits throw). The communicator is dead afterwards.
  virtual void abort() noexcept = 0;

 protected:
  Communicator(int rank, int world_size, at::Device device, Deadlines deadlines);
  [[nodiscard]] std::chrono::milliseconds timeout() const noexcept {
    return phase_ == Phase::kStartup ? deadlines_.startup : deadlines_.step;
  }

 private:
  virtual std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) = 0;
  virtual std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) = 0;
  virtual std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts) = 0;
  virtual std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) = 0;
  virtual std::unique_ptr<Work> do_barrier() = 0;

  int rank_;
  int world_size_;
  at::Device device_;
  Deadlines deadlines_;
  Phase phase_ = Phase::kStartup;
};

/// Host tensors over MPI_COMM_WORLD (a duplicate of it). Collective. MpiEnvironment must outlive it.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(Deadlines deadlines = {});

/// CUDA tensors over NCCL on `device`; the unique id travels over MPI. Collective. Throws c10::Error in a build without
/// CUDA, when two ranks of a node hold the same GPU (compared by UUID), or when start-up passes its deadline.
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(at::Device device, Deadlines deadlines = {});

}  // namespace diffprob::dist
