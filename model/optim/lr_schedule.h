#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffprob::model {

enum class LrKind {
  kMilestones,  ///< times gamma from each milestone epoch (0-based) on
  kPolynomial,  ///< falls as (1 - p)^power, p the share of the steps after warm-up that is done
  kCosine,      ///< falls as (1 + cos(pi * p)) / 2
};
/// "milestones", "polynomial", "cosine".
[[nodiscard]] std::vector<std::string> lr_names();
[[nodiscard]] std::string lr_name(LrKind kind);
/// Throws c10::Error on a name that is none of lr_names().
[[nodiscard]] LrKind lr_kind(const std::string& name);

/// How the rate rises in warm-up: the full rate times a share, to the power warmup_power.
enum class WarmupShape {
  kUpdates,  ///< (s + 1) / w at update s of w: the first update is already warmed up
  kEpochs,   ///< (e + 1) / warmup_epochs in epoch e, the same for all updates of an epoch
  /// s / w, but the full rate at the first update: what arcface_torch's PolynomialLRWarmup does
  kArcfaceTorch
};
/// "updates", "epochs", "arcface_torch".
[[nodiscard]] std::vector<std::string> warmup_names();
/// Throws c10::Error on a name that is none of warmup_names().
[[nodiscard]] WarmupShape warmup_shape(const std::string& name);

/// The paper's schedule by default: base rate for a global batch of 512, scaled linearly, with
/// milestones.
struct LrScheduleOptions {
  double base_lr = 0.1;
  /// The global batch that base_lr (and final_lr) is meant for; 0: no scaling.
  std::int64_t reference_batch = 512;
  std::vector<std::int64_t> milestones = {19, 27, 31};
  double gamma = 0.1;
  double warmup_epochs = 0;  ///< before any kind
  WarmupShape warmup_shape = WarmupShape::kUpdates;
  double warmup_power = 1;
  LrKind kind = LrKind::kMilestones;
  double power = 2;     ///< of kPolynomial; 0: the rate stays as it is
  double final_lr = 0;  ///< what kPolynomial and kCosine fall to
  /// Where they arrive at final_lr: updates of the whole training; not needed for milestones.
  std::int64_t total_steps = 0;
};

class LrSchedule {
 public:
  /// Throws c10::Error on options that make no schedule.
  LrSchedule(LrScheduleOptions options, std::int64_t global_batch, std::int64_t steps_per_epoch);
  [[nodiscard]] double initial_lr() const noexcept { return initial_lr_; }
  /// Rate of update `step` (0-based, counted from the start of training); past total_steps the
  /// final rate.
  [[nodiscard]] double at_step(std::int64_t step) const;

 private:
  [[nodiscard]] double milestone_rate(std::int64_t step) const;
  [[nodiscard]] double warmed_up(double lr, std::int64_t step) const;
  /// Share in [0, 1] of the way from the end of warm-up to total_steps.
  [[nodiscard]] double progress(std::int64_t step) const;

  LrScheduleOptions options_;
  double initial_lr_;
  double final_lr_;
  std::int64_t steps_per_epoch_;
  double warmup_steps_;
};

}  // namespace diffprob::model
