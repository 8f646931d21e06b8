#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace diffprob::model {

/// Threads for work that is cut into numbered blocks. Each of them computes alone: LibTorch, oneDNN
/// and the BLAS library use one thread inside a block, also when there is one block or one worker.
/// Matrix kernels choose how to add by shape and by the number of threads; a block of a fixed shape
/// therefore has the same bits for any number of workers, and so for any number of threads and
/// ranks.
class BlockWorkers {
 public:
  /// threads: 0 takes as many as LibTorch uses in the caller (at::get_num_threads).
  explicit BlockWorkers(int threads = 0);
  ~BlockWorkers();
  BlockWorkers(const BlockWorkers&) = delete;
  BlockWorkers& operator=(const BlockWorkers&) = delete;

  /// Calls work(i) once for each i of [0, blocks), on the workers, without gradients, and waits for
  /// all. After an exception no further block is started, and that of the lowest block that threw
  /// one is thrown here. One caller at a time.
  void run(std::int64_t blocks, const std::function<void(std::int64_t)>& work);
  [[nodiscard]] std::int64_t threads() const noexcept {
    return static_cast<std::int64_t>(threads_.size());
  }

 private:
  void serve();
  void stop();
  void take_blocks(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable finished_;
  const std::function<void(std::int64_t)>* work_ = nullptr;
  std::int64_t blocks_ = 0;
  std::int64_t next_ = 0;
  std::int64_t running_ = 0;
  std::size_t ready_ = 0;  ///< workers that are set up
  bool stop_ = false;
  std::int64_t failed_block_ = 0;
  std::exception_ptr error_;
  std::vector<std::jthread> threads_;  ///< last: they use all of the above
};

}  // namespace diffprob::model
