#pragma once

#include <cstdint>
#include <vector>

namespace diffprob::model {

/// The paper's schedule: base rate for a global batch of 512, scaled linearly, times gamma from each milestone epoch (0-based) on.
struct LrScheduleOptions {
  double base_lr = 0.1;
  std::int64_t reference_batch = 512;  ///< the global batch that base_lr is meant for; 0: no scaling
  std::vector<std::int64_t> milestones = {19, 27, 31};
  double gamma = 0.1;
  double warmup_epochs = 0;  ///< linear from 0; the first update is already warmed up
};

class LrSchedule {
 public:
  LrSchedule(LrScheduleOptions options, std::int64_t global_batch, std::int64_t steps_per_epoch);
  [[nodiscard]] double initial_lr() const noexcept { return initial_lr_; }
  /// Rate of update `step` (0-based, counted from the start of training).
  [[nodiscard]] double at_step(std::int64_t step) const;

 private:
  LrScheduleOptions options_;
  double initial_lr_;
  std::int64_t steps_per_epoch_;
};

}  // namespace diffprob::model
