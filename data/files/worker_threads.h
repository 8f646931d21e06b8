#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace diffprob::data {

/// Runs `work()` on `threads` threads (at least one; the caller is one of them) and waits for all.
/// Throws the first exception of any.
template <typename Work>
void run_on_threads(int threads, const Work& work) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(guarded);
    guarded();
  }
  if (error) std::rethrow_exception(error);
}

/// Runs `work(i, worker)` for each i in [begin, end) on `threads` threads; `worker`, below
/// `threads` (or 0), tells the threads apart, so that each can have buffers of its own. No index is
/// started after a failure; of the indices that failed, the lowest one's exception is thrown, which
/// does not depend on the number of threads.
template <typename Work>
void parallel_for(std::int64_t begin, std::int64_t end, int threads, const Work& work) {
  std::mutex mutex;
  std::exception_ptr error;
  std::int64_t failed = end;
  std::atomic<std::int64_t> next{begin};
  std::atomic<int> workers{0};
  run_on_threads(threads, [&] {
    const int worker = workers++;
    for (std::int64_t i = next++; i < end; i = next++) {
      try {
        work(i, worker);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed) {
          failed = i;
          error = std::current_exception();
        }
        next = end;  // all lower indices have been started, so the lowest failure is still found
      }
    }
  });
  if (error) std::rethrow_exception(error);
}

}  // namespace diffprob::data
