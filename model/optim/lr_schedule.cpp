#include "model/optim/lr_schedule.h"

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace diffprob::model {
namespace {

/// The linear rule: as many times the rate as there are reference batches in the global one.
double scaled(double rate, const LrScheduleOptions& options, std::int64_t global_batch) {
  if (options.reference_batch <= 0) return rate;
  return rate / static_cast<double>(options.reference_batch) * static_cast<double>(global_batch);
}

constexpr std::pair<LrKind, const char*> kKinds[] = {{LrKind::kMilestones, "milestones"},
                                                     {LrKind::kPolynomial, "polynomial"},
                                                     {LrKind::kCosine, "cosine"}};

constexpr std::pair<WarmupShape, const char*> kWarmups[] = {
    {WarmupShape::kUpdates, "updates"},
    {WarmupShape::kEpochs, "epochs"},
    {WarmupShape::kArcfaceTorch, "arcface_torch"}};

}  // namespace

std::vector<std::string> warmup_names() {
  std::vector<std::string> names;
  for (const auto& [shape, name] : kWarmups) names.emplace_back(name);
  return names;
}

WarmupShape warmup_shape(const std::string& wanted) {
  for (const auto& [shape, name] : kWarmups) {
    if (name == wanted) return shape;
  }
  TORCH_CHECK(false, "warm-up: expected one of ", c10::Join(", ", warmup_names()), ", got \"",
              wanted, "\"");
}

std::vector<std::string> lr_names() {
  std::vector<std::string> names;
  for (const auto& [kind, name] : kKinds) names.emplace_back(name);
  return names;
}

std::string lr_name(LrKind wanted) {
  for (const auto& [kind, name] : kKinds) {
    if (kind == wanted) return name;
  }
  TORCH_CHECK(false, "learning-rate schedule: no name for number ", static_cast<int>(wanted));
}

LrKind lr_kind(const std::string& wanted) {
  for (const auto& [kind, name] : kKinds) {
    if (name == wanted) return kind;
  }
  TORCH_CHECK(false, "learning-rate schedule: expected milestones, polynomial or cosine, got \"",
              wanted, "\"");
}

LrSchedule::LrSchedule(LrScheduleOptions options, std::int64_t global_batch,
                       std::int64_t steps_per_epoch)
    : options_(std::move(options)), steps_per_epoch_(steps_per_epoch) {
  TORCH_CHECK(steps_per_epoch > 0, "learning-rate schedule: steps_per_epoch must be positive, got ",
              steps_per_epoch);
  initial_lr_ = scaled(options_.base_lr, options_, global_batch);
  final_lr_ = scaled(options_.final_lr, options_, global_batch);
  warmup_steps_ = options_.warmup_epochs * static_cast<double>(steps_per_epoch_);
  if (options_.kind == LrKind::kMilestones) return;
  TORCH_CHECK(static_cast<double>(options_.total_steps) > warmup_steps_,
              "learning-rate schedule: training for ", options_.total_steps,
              " updates ends within the warm-up of ", warmup_steps_);
  TORCH_CHECK(options_.kind != LrKind::kPolynomial || options_.power >= 0,
              "learning-rate schedule: the power must not be negative, got ", options_.power);
}

double LrSchedule::milestone_rate(std::int64_t step) const {
  const std::int64_t epoch = step / steps_per_epoch_;
  double lr = initial_lr_;
  for (const auto milestone : options_.milestones) {
    if (epoch >= milestone) lr *= options_.gamma;
  }
  return lr;
}

double LrSchedule::progress(std::int64_t step) const {
  return std::clamp((static_cast<double>(step) - warmup_steps_) /
                        (static_cast<double>(options_.total_steps) - warmup_steps_),
                    0.0, 1.0);
}

double LrSchedule::at_step(std::int64_t step) const {
  double lr = 0;
  switch (options_.kind) {
    case LrKind::kMilestones:
      lr = milestone_rate(step);
      break;
    case LrKind::kPolynomial:
      lr = final_lr_ + (initial_lr_ - final_lr_) * std::pow(1 - progress(step), options_.power);
      break;
    case LrKind::kCosine:
      lr = final_lr_ +
           (initial_lr_ - final_lr_) * 0.5 * (1 + std::cos(std::numbers::pi * progress(step)));
      break;
  }
  return warmed_up(lr, step);
}

double LrSchedule::warmed_up(double lr, std::int64_t step) const {
  double done = static_cast<double>(step + 1), whole = warmup_steps_;
  if (options_.warmup_shape == WarmupShape::kEpochs) {
    done = static_cast<double>(step / steps_per_epoch_ + 1);
    whole = options_.warmup_epochs;
  } else if (options_.warmup_shape == WarmupShape::kArcfaceTorch) {
    if (step == 0) return lr;
    done = static_cast<double>(step);
  }
  if (done >= whole) return lr;
  return options_.warmup_power == 1 ? lr * done / whole
                                    : lr * std::pow(done / whole, options_.warmup_power);
}

}  // namespace diffprob::model
