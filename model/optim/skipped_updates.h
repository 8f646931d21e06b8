#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Which updates were skipped. The flags stay on the device until the host asks, at a log line.
class SkippedUpdates {
 public:
  struct Found {
    std::vector<std::int64_t> steps;  ///< skipped since the last take(), in order
    /// The most in a row since the last take(), counting those right before it.
    std::int64_t longest_run = 0;
    std::int64_t total = 0;  ///< since the start
  };

  /// total: skipped before this process started (from a checkpoint).
  explicit SkippedUpdates(std::int64_t total = 0) : total_(total) {}
  /// do_update: the scalar that decided on update number `step` (StepControl::do_update).
  void note(std::int64_t step, const at::Tensor& do_update);
  /// Waits for the device.
  [[nodiscard]] Found take();

 private:
  std::vector<std::int64_t> steps_;
  std::vector<at::Tensor> flags_;
  std::int64_t run_ = 0;  ///< skipped in a row up to now
  std::int64_t total_;
};

}  // namespace diffprob::model
