#pragma once

#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/deadlines.h"
#include "dist/flight_recorder.h"
#include "dist/reduce_op.h"
#include "dist/work.h"

namespace diffprob::dist {

/// Collectives over tensors. Every operation is collective: all ranks call it, in the same order,
/// with the same numel and dtype. Tensors are contiguous (any memory format that is dense) and live
/// on device(). Dtypes: float32, float64, bfloat16, float16, int32, int64, uint8. Operations are
/// enqueued in order and return at once; buffers must not be touched until the Work has been waited
/// for. Backends: MpiCommunicator (host tensors), NcclCommunicator (CUDA tensors, own stream).
///
/// Sums of host tensors are made in rank order, those of the 16-bit types in float32 and rounded
/// once; NCCL adds in the type given. NaN and infinity: a sum carries them (inf - inf is NaN) on
/// both backends. Maximum and minimum carry a NaN on host tensors; NCCL does not promise it, so ask
/// "is any rank's value not finite?" with a flag: tensor.isfinite().logical_not() as float32 0 or
/// 1, kMax, and wait_stream(): no host synchronisation.
///
/// Every operation has a sequence number and is recorded with the line that called it (`where`:
/// leave it out). When one passes its deadline, the error names it, its step and the ranks that did
/// not arrive, and all ranks that still run write their last 256 operations
/// (dist/mpi/operations_file.h: set_dump_folder()).
class Communicator {
 public:
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }
  [[nodiscard]] at::Device device() const noexcept { return device_; }

  /// In place.
  [[nodiscard]] std::unique_ptr<Work> all_reduce(
      at::Tensor tensor, ReduceOp op = ReduceOp::kSum,
      std::source_location where = std::source_location::current());
  /// output [W * n, ...] = inputs [n, ...] of all ranks in rank order.
  [[nodiscard]] std::unique_ptr<Work> all_gather(
      at::Tensor output, at::Tensor input,
      std::source_location where = std::source_location::current());
  /// output [sum counts, ...] = inputs [counts[r], ...]; `counts` is the same on all ranks.
  [[nodiscard]] std::unique_ptr<Work> all_gather_v(
      at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts,
      std::source_location where = std::source_location::current());
  /// output [n, ...] = this rank's block of the sum over ranks of input [W * n, ...].
  [[nodiscard]] std::unique_ptr<Work> reduce_scatter(
      at::Tensor output, at::Tensor input,
      std::source_location where = std::source_location::current());
  /// output [counts[rank], ...] = this rank's rows of the sum over ranks of input [sum counts,
  /// ...].
  [[nodiscard]] std::unique_ptr<Work> reduce_scatter_v(
      at::Tensor output, at::Tensor input, std::vector<std::int64_t> counts,
      std::source_location where = std::source_location::current());
  [[nodiscard]] std::unique_ptr<Work> broadcast(
      at::Tensor tensor, int root, std::source_location where = std::source_location::current());
  [[nodiscard]] std::unique_ptr<Work> barrier(
      std::source_location where = std::source_location::current());

  /// Not collective: which deadline counts for operations enqueued from now on.
  void set_phase(Phase phase) noexcept {
    phase_ = phase;
    recorder_->set_phase(phase);
  }
  /// Not collective: the step that is recorded with operations called from now on.
  void set_step(std::int64_t step) noexcept { recorder_->set_step(step); }
  /// Not collective. Operations may be recorded into a CUDA graph (stream capture); none of them
  /// has a deadline then. Call this behind each replay on the current stream: the whole replay gets
  /// one. Throws CommError when the communicator is dead.
  virtual void watch_replay() {}
  /// A communicator of some ranks, on the same device and, on a GPU, on the same stream: operations
  /// of both run in the order in which they were called. Collective over this communicator: every
  /// rank names the ranks that it shares one with, itself among them, ascending. Rank i of the new
  /// one is ranks[i]. `name` is for messages. This communicator, which is one of all ranks, must
  /// outlive it.
  [[nodiscard]] virtual std::unique_ptr<Communicator> subset(const std::string& name,
                                                             const std::vector<int>& ranks);
  /// Ends outstanding operations (their waits throw). The communicator is dead afterwards.
  virtual void abort() noexcept = 0;

 protected:
  Communicator(int rank, int world_size, at::Device device, Deadlines deadlines);
  /// A backend that made its recorder before.
  Communicator(std::shared_ptr<FlightRecorder> recorder, at::Device device, Deadlines deadlines);
  [[nodiscard]] const std::shared_ptr<FlightRecorder>& recorder() const noexcept {
    return recorder_;
  }
  /// Number of the operation that is being called: for the do_...() of a backend, which says when
  /// it starts and ends.
  [[nodiscard]] std::int64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] const Deadlines& deadlines() const noexcept { return deadlines_; }
  [[nodiscard]] std::chrono::milliseconds timeout() const noexcept {
    return phase_ == Phase::kStartup ? deadlines_.startup : deadlines_.step;
  }

 private:
  virtual std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) = 0;
  virtual std::unique_ptr<Work> do_all_gather_v(at::Tensor output, at::Tensor input,
                                                std::vector<std::int64_t> counts) = 0;
  virtual std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor output, at::Tensor input,
                                                    std::vector<std::int64_t> counts) = 0;
  virtual std::unique_ptr<Work> do_broadcast(at::Tensor tensor, int root) = 0;
  virtual std::unique_ptr<Work> do_barrier() = 0;

  void record(const char* kind, const at::Tensor& tensor, const std::source_location& where);

  int rank_;
  int world_size_;
  at::Device device_;
  Deadlines deadlines_;
  Phase phase_ = Phase::kStartup;
  std::shared_ptr<FlightRecorder> recorder_;
  std::int64_t sequence_ = 0;
};

/// Host tensors over MPI_COMM_WORLD (a duplicate of it). Collective. MpiEnvironment must outlive
/// it.
[[nodiscard]] std::unique_ptr<Communicator> make_mpi_communicator(Deadlines deadlines = {});

/// CUDA tensors over NCCL on `device`; the unique id travels over MPI. Collective. Throws
/// c10::Error in a build without CUDA, when two ranks of a node hold the same GPU (compared by
/// UUID), or when start-up passes its deadline.
[[nodiscard]] std::unique_ptr<Communicator> make_nccl_communicator(at::Device device,
                                                                   Deadlines deadlines = {});

}  // namespace diffprob::dist
