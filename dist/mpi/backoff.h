#pragma once

#include <sched.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace diffprob::dist {

/// How a poll loop spends its time: hot for some microseconds (small messages between ranks that
/// are in step), then giving the core away at each turn for as long as the bytes may take, then
/// asleep (the peer is late; its work may need this very core).
class Backoff {
 public:
  explicit Backoff(std::int64_t bytes = 0)
      : start_(std::chrono::steady_clock::now()),
        yield_until_(kYield + std::chrono::nanoseconds(bytes * kNanosecondsPerByte)) {}

  [[nodiscard]] std::chrono::nanoseconds elapsed() const {
    return std::chrono::steady_clock::now() - start_;
  }

  /// One pause of the loop; returns the time since construction.
  std::chrono::nanoseconds pause() {
    const auto waited = elapsed();
    if (waited < kSpin) return waited;
    if (waited < yield_until_) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(kSleep);
    }
    return waited;
  }

 private:
  static constexpr std::chrono::nanoseconds kSpin = std::chrono::microseconds(20);
  static constexpr std::chrono::nanoseconds kYield = std::chrono::microseconds(500);
  static constexpr std::chrono::nanoseconds kSleep = std::chrono::microseconds(50);
  static constexpr std::int64_t kNanosecondsPerByte =
      2;  // a transfer at 0.5 GB/s is never slept through

  std::chrono::steady_clock::time_point start_;
  std::chrono::nanoseconds yield_until_;
};

}  // namespace diffprob::dist
