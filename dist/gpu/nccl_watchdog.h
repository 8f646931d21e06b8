#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "dist/gpu/nccl_handle.h"

namespace diffprob::dist {

/// One collective on the stream; `done` is recorded behind it.
struct NcclOperation {
  std::string what;
  std::chrono::milliseconds timeout;
  c10::Event done;
  std::function<void()> finished{};  ///< called by the watchdog
  std::function<std::string(const std::string& reason)>
      roll_call{};  ///< after the deadline: who did not arrive
};

/// Watches the operations of one stream, oldest first, and aborts the communicator when one fails
/// or passes its deadline: the host may be blocked in a CUDA call that only an abort ends.
class NcclWatchdog {
 public:
  NcclWatchdog(std::shared_ptr<NcclHandle> handle, c10::Device device);
  ~NcclWatchdog();
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  void watch(std::shared_ptr<NcclOperation> operation);

 private:
  void loop(c10::Device device);
  [[nodiscard]] bool is_done(const NcclOperation& operation);
  void inspect(std::unique_lock<std::mutex>& lock);

  std::shared_ptr<NcclHandle> handle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<NcclOperation>> operations_;
  std::chrono::steady_clock::time_point front_since_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace diffprob::dist
