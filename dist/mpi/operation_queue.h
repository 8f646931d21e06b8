#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace diffprob::dist {

/// One enqueued operation. `run` owns whatever buffers it works on.
struct Operation {
  std::function<void()> run;
  std::exception_ptr error;  // set before done
  std::atomic<bool> done{false};
};

/// Runs operations one at a time, in the order they were pushed: on an own thread while the caller
/// computes, or on a thread that waits, which saves two thread switches for the many small
/// collectives that are waited for at once. After an operation has thrown, it and all later ones
/// end with that error, unrun.
class OperationQueue {
 public:
  OperationQueue();
  /// Runs what is left, then joins.
  ~OperationQueue();
  OperationQueue(const OperationQueue&) = delete;
  OperationQueue& operator=(const OperationQueue&) = delete;

  [[nodiscard]] std::shared_ptr<Operation> push(std::function<void()> run);
  /// Blocks until done; rethrows its error.
  void wait(const std::shared_ptr<Operation>& operation);

 private:
  void loop();
  void run_front(std::unique_lock<std::mutex>& lock);
  void execute(Operation& operation);

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable finished_;
  std::deque<std::shared_ptr<Operation>> queue_;
  bool busy_ = false;
  bool stop_ = false;
  std::exception_ptr failure_;  // touched by whoever holds busy_
  std::thread thread_;
};

}  // namespace diffprob::dist
