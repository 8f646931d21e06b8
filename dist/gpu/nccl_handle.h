#pragma once

#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace diffprob::dist {

/// How long an abort may take, see NcclHandle::abort.
struct NcclAbortLimits {
  std::chrono::milliseconds caller{1000};        ///< that a caller of abort() waits for it to end
  std::chrono::milliseconds last_resort{10000};  ///< after which the process is ended
  /// What ends it: writes the reason and exits with code 1. Tests put something else here.
  std::function<void(const std::string& reason)> end_process{};
};

/// A non-blocking NCCL communicator that is aborted at most once and never touched after that.
/// Thread-safe.
class NcclHandle {
 public:
  /// Collective. Throws CommError when it fails or is not ready in time. The current CUDA device is
  /// the rank's.
  NcclHandle(const ncclUniqueId& id, int rank, int world_size, std::chrono::milliseconds timeout,
             NcclAbortLimits limits = {});
  /// Flushes within the timeout of the constructor, else aborts. After an abort it waits until that
  /// has ended or the last resort has acted.
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  /// Enqueues the NCCL calls of `calls` as one group and waits until NCCL has taken them (not until
  /// they have run).
  void launch(const std::string& what, std::chrono::milliseconds timeout,
              const std::function<void(ncclComm_t)>& calls);
  /// Throws CommError with the reason when the communicator has been aborted or NCCL reports an
  /// error.
  void check_alive(const std::string& what);
  /// The first reason counts. Running kernels end, streams go on with undefined results; launch()
  /// and check_alive() throw from now on. ncclCommAbort itself returns only when every CUDA graph
  /// that holds operations of the communicator is destroyed, and the thread that owns such a graph
  /// may be the caller or wait for this object: so it runs on a thread of its own, outside of any
  /// lock, and a caller waits for it for a moment only. When it has not ended by the last resort's
  /// time, the process ends: nobody has destroyed the graph, be it that its owner is busy elsewhere
  /// for so long.
  void abort(const std::string& reason) noexcept;

 private:
  void settle(ncclComm_t comm, ncclResult_t state, const std::string& what,
              std::chrono::milliseconds timeout);
  void guard_abort(const std::string& reason);

  std::mutex mutex_;
  std::condition_variable abort_ended_;
  ncclComm_t comm_ = nullptr;  // null once aborted
  std::string reason_;
  bool aborting_ = false;
  NcclAbortLimits limits_;
  int rank_;
  std::chrono::milliseconds timeout_;
  std::thread aborter_;  // calls ncclCommAbort
  std::thread guard_;    // the last resort
};

}  // namespace diffprob::dist
