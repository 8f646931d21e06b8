#pragma once

#include <nccl.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <string>

namespace diffprob::dist {

/// A non-blocking NCCL communicator that is aborted at most once and never touched after that. Thread-safe.
class NcclHandle {
 public:
  /// Collective. Throws CommError when it fails or is not ready in time. The current CUDA device is the rank's.
  NcclHandle(const ncclUniqueId& id, int rank, int world_size, std::chrono::milliseconds timeout);
  /// Flushes within the timeout of the constructor, else aborts.
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  /// Enqueues the NCCL calls of `calls` as one group and waits until NCCL has taken them (not until they have run).
  void launch(const std::string& what, std::chrono::milliseconds timeout, const std::function<void(ncclComm_t)>& calls);
  /// Throws CommError with the reason when the communicator has been aborted or NCCL reports an error.
  void check_alive(const std::string& what);
  /// The first reason counts. Running kernels end, streams go on with undefined results.
  void abort(const std::string& reason) noexcept;

 private:
  void settle(ncclResult_t state, const std::string& what, std::chrono::milliseconds timeout);
  [[noreturn]] void fail(const std::string& reason);
  void abort_locked(const std::string& reason) noexcept;

  std::mutex mutex_;
  ncclComm_t comm_ = nullptr;  // null once aborted
  std::string reason_;
  int rank_;
  std::chrono::milliseconds timeout_;
};

}  // namespace diffprob::dist
