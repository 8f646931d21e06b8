#include "model/kernels/block_workers.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <utility>

namespace diffprob::model {

BlockWorkers::BlockWorkers(int threads) {
  const int of_caller = at::get_num_threads();
  const int count = threads > 0 ? threads : of_caller;
  threads_.reserve(static_cast<std::size_t>(count));
  try {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { serve(); });
  } catch (...) {  // no thread to be had: those that run must not wait for work for ever
    stop();
    threads_.clear();
    at::set_num_threads(of_caller);
    throw;
  }
  {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return ready_ == threads_.size(); });
  }
  // at::set_num_threads sets the calling thread, and what threads that LibTorch meets later start
  // with: the workers have changed the latter.
  at::set_num_threads(of_caller);
}

BlockWorkers::~BlockWorkers() {
  stop();
}

void BlockWorkers::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
}

void BlockWorkers::run(std::int64_t blocks, const std::function<void(std::int64_t)>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  blocks_ = blocks;
  next_ = 0;
  error_ = nullptr;
  wake_.notify_all();
  finished_.wait(lock, [&] { return next_ >= blocks_ && running_ == 0; });
  work_ = nullptr;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void BlockWorkers::serve() {
  at::set_num_threads(1);
  // LibTorch gives a thread the process's number once more when it first asks for it: better now,
  // while that is 1.
  (void)at::get_num_threads();
  const at::NoGradGuard no_grad;
  std::unique_lock lock(mutex_);
  ++ready_;
  finished_.notify_all();
  while (true) {
    wake_.wait(lock, [&] { return stop_ || (work_ != nullptr && next_ < blocks_); });
    if (stop_) return;
    take_blocks(lock);
  }
}

void BlockWorkers::take_blocks(std::unique_lock<std::mutex>& lock) {
  ++running_;
  while (next_ < blocks_) {
    const std::int64_t block = next_++;
    const auto* const work = work_;
    std::exception_ptr error;
    lock.unlock();
    try {
      (*work)(block);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (!error) continue;
    if (!error_ || block < failed_block_) {
      error_ = error;
      failed_block_ = block;
    }
    next_ = blocks_;
  }
  --running_;
  finished_.notify_all();
}

}  // namespace diffprob::model
