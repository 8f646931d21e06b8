#pragma once

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

}  // namespace diffprob::data
