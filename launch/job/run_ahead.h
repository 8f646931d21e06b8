#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

#include <c10/core/Device.h>
#include <c10/core/Event.h>

namespace diffprob::launch {

/// Keeps the host from running further ahead of its GPU than it has use for. Nothing else stops it
/// where a step is one call: it would hold a pinned batch for each step that is queued, and answer
/// a signal only when the GPU has done them all. The wait costs the GPU nothing, which has another
/// step to do meanwhile. On a CPU, where the host does the steps, nothing waits.
class RunAhead {
 public:
  /// patience: of one wait, after which it throws std::runtime_error; a collective that hangs is
  /// ended long before that by its own deadline.
  RunAhead(c10::Device device, std::chrono::milliseconds patience);

  /// Before a step: until the device has fewer than kSteps steps to do. `meanwhile` is called again
  /// and again.
  void wait(const std::function<void()>& meanwhile);
  /// All work of a step has been put on the current stream.
  void mark();

  static constexpr std::size_t kSteps = 2;

 private:
  c10::Device device_;
  std::chrono::milliseconds patience_;
  std::array<std::optional<c10::Event>, kSteps> ends_;  // of the last steps
  std::size_t oldest_ = 0;
};

}  // namespace diffprob::launch
