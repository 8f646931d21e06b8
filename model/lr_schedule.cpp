#include "model/lr_schedule.h"

#include <c10/util/Exception.h>

namespace diffprob::model {

LrSchedule::LrSchedule(LrScheduleOptions options, std::int64_t global_batch, std::int64_t steps_per_epoch)
    : options_(std::move(options)), steps_per_epoch_(steps_per_epoch) {
  TORCH_CHECK(steps_per_epoch > 0, "learning-rate schedule: steps_per_epoch must be positive, got ", steps_per_epoch);
  initial_lr_ = options_.reference_batch > 0
                    ? options_.base_lr / static_cast<double>(options_.reference_batch) * static_cast<double>(global_batch)
                    : options_.base_lr;
}

double LrSchedule::at_step(std::int64_t step) const {
  const std::int64_t epoch = step / steps_per_epoch_;
  double lr = initial_lr_;
  for (const auto milestone : options_.milestones) {
    if (epoch >= milestone) lr *= options_.gamma;
  }
  const double warmup_steps = options_.warmup_epochs * static_cast<double>(steps_per_epoch_);
  const double done = static_cast<double>(step + 1);
  return done < warmup_steps ? lr * done / warmup_steps : lr;
}

}  // namespace diffprob::model
