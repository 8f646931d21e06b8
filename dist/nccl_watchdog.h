#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dist/nccl_handle.h"

namespace diffprob::dist {

/// One collective on the stream; `done` is recorded behind it.
struct NcclOperation {
  NcclOperation(std::string name, std::chrono::milliseconds limit);
  ~NcclOperation();
  NcclOperation(const NcclOperation&) = delete;
  NcclOperation& operator=(const NcclOperation&) = delete;

  std::string what;
  std::chrono::milliseconds timeout;
  std::function<void()> finished;                                   // called by the watchdog
  std::function<std::string(const std::string& reason)> roll_call;  // after the deadline: who did not arrive
  cudaEvent_t done = nullptr;
};

/// Watches the operations of one stream, oldest first, and aborts the communicator when one fails or passes its deadline: the host may be
/// blocked in a CUDA call that only an abort ends.
class NcclWatchdog {
 public:
  NcclWatchdog(std::shared_ptr<NcclHandle> handle, int device);
  ~NcclWatchdog();
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  void watch(std::shared_ptr<NcclOperation> operation);

 private:
  void loop(int device);
  void inspect(std::unique_lock<std::mutex>& lock, cudaError_t state);

  std::shared_ptr<NcclHandle> handle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<NcclOperation>> operations_;
  std::chrono::steady_clock::time_point front_since_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace diffprob::dist
