#include "dist/gpu/nccl_watchdog.h"

#include <c10/util/Exception.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "dist/error.h"
#include "dist/gpu/device.h"

namespace diffprob::dist {
namespace {

constexpr std::chrono::milliseconds kInterval{20};

}  // namespace

NcclWatchdog::NcclWatchdog(std::shared_ptr<NcclHandle> handle, c10::Device device)
    : handle_(std::move(handle)), thread_([this, device] { loop(device); }) {}

NcclWatchdog::~NcclWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void NcclWatchdog::watch(std::shared_ptr<NcclOperation> operation) {
  const std::lock_guard lock(mutex_);
  if (operations_.empty()) {
    front_since_ = std::chrono::steady_clock::now();
    changed_.notify_one();
  }
  operations_.push_back(std::move(operation));
}

void NcclWatchdog::loop(c10::Device device) {
  make_current(device);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    changed_.wait(lock, [this] { return stop_ || !operations_.empty(); });
    while (!operations_.empty() && is_done(*operations_.front())) {
      operations_.front()->finished();
      operations_.pop_front();
      front_since_ = std::chrono::steady_clock::now();
    }
    if (!operations_.empty()) inspect(lock);
    changed_.wait_for(lock, kInterval, [this] { return stop_; });
  }
}

/// An operation that failed on the device ends the communicator, and is not done.
bool NcclWatchdog::is_done(const NcclOperation& operation) {
  try {
    return operation.done.query();
  } catch (const c10::Error& error) {
    handle_->abort(operation.what + " failed: " + error.what_without_backtrace());
    return false;
  }
}

void NcclWatchdog::inspect(std::unique_lock<std::mutex>& lock) {
  const auto front = operations_.front();
  try {
    handle_->check_alive(front->what);
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - front_since_;
    if (waited <= front->timeout) return;
    const std::string reason =
        front->what + " waited " + std::to_string(waited.count()) + " s and exceeded its deadline";
    lock.unlock();  // the roll call takes up to two seconds; watch() must not wait for it
    const std::string absentees = front->roll_call(reason);
    handle_->abort(reason + absentees);
    lock.lock();
    operations_.clear();
  } catch (const CommError& error) {
    spdlog::error("{}", error.what());
    operations_.clear();
  }
}

}  // namespace diffprob::dist
