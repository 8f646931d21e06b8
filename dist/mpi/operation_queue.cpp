#include "dist/mpi/operation_queue.h"

#include <utility>

#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"

namespace diffprob::dist {

OperationQueue::OperationQueue() : thread_([this] { loop(); }) {}

OperationQueue::~OperationQueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  thread_.join();
}

std::shared_ptr<Operation> OperationQueue::push(std::function<void()> run) {
  auto operation = std::make_shared<Operation>();
  operation->run = std::move(run);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(operation);
  }
  work_.notify_one();
  return operation;
}

void OperationQueue::loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return !busy_ && (stop_ || !queue_.empty()); });
    if (queue_.empty()) return;
    run_front(lock);
  }
}

void OperationQueue::run_front(std::unique_lock<std::mutex>& lock) {
  busy_ = true;
  const auto operation = std::move(queue_.front());
  queue_.pop_front();
  lock.unlock();
  execute(*operation);
  operation->done.store(true, std::memory_order_release);
  lock.lock();
  busy_ = false;
  finished_.notify_all();
  if (stop_ || !queue_.empty()) work_.notify_one();
}

void OperationQueue::execute(Operation& operation) {
  if (!failure_) {
    try {
      operation.run();
    } catch (...) {
      failure_ = std::current_exception();
      abandon(std::make_shared<std::function<void()>>(
          std::move(operation.run)));  // its buffers: MPI may still use them
    }
  }
  operation.error = failure_;
  operation.run = nullptr;
}

void OperationQueue::wait(const std::shared_ptr<Operation>& operation) {
  std::unique_lock lock(mutex_);
  while (!operation->done.load(std::memory_order_acquire)) {
    if (!busy_ && !queue_.empty()) {
      run_front(lock);
      continue;
    }
    lock.unlock();  // the own thread is at it: look a few times before going to sleep, which costs
                    // more than a small message
    for (Backoff backoff; !operation->done.load(std::memory_order_acquire) &&
                          backoff.elapsed() < std::chrono::microseconds(100);) {
      backoff.pause();
    }
    lock.lock();
    finished_.wait(lock, [&] { return !busy_ || operation->done.load(std::memory_order_acquire); });
  }
  if (operation->error) std::rethrow_exception(operation->error);
}

}  // namespace diffprob::dist
