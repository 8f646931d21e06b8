#include "launch/train/training_log.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "launch/observe/memory_use.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kShownIndices = 8;
/// A check waits for the device, which must not happen at every step.
constexpr std::int64_t kFewestStepsBetweenChecks = 100;

}  // namespace

TrainingLog::TrainingLog(const TrainJob& job, const Config& config, const TrainingData& data,
                         TrainStep& train_step, Metrics& metrics, Runtime& runtime)
    : job_(job),
      config_(config),
      data_(data),
      train_step_(train_step),
      metrics_(metrics),
      runtime_(runtime) {}

void TrainingLog::open(std::int64_t step) {
  checked_step_ = step;
  if (runtime_.is_root() && config_.train.tensorboard)
    tensorboard_.emplace(config_.output + "/tensorboard/" + job_.name, step);
}

void TrainingLog::begin_interval(std::int64_t step, double data_wait) {
  interval_start_ = Clock::now();
  interval_step_ = step;
  interval_wait_ = data_wait;
}

double TrainingLog::seconds_of_interval() const {
  return std::chrono::duration<double>(Clock::now() - interval_start_).count();
}

double TrainingLog::seconds_since_line(std::int64_t step) const {
  return is_behind(step) ? seconds_of_interval() : 0;
}

void TrainingLog::write_steps(TrainingProgress& progress, double learning_rate, double data_wait,
                              const std::string& last_checkpoint) {
  const RunningMeans means = train_step_.take_means();
  const StepTimes times = train_step_.timer().take();
  check_skipped(progress, last_checkpoint);
  const double seconds = seconds_of_interval();
  const std::int64_t step = progress.step();
  const auto steps = static_cast<double>(step - interval_step_);
  const double images_per_second =
      steps * static_cast<double>(config_.train.batch_size) / std::max(seconds, 1e-9);
  const double left =
      static_cast<double>(progress.all_steps() - step) * seconds / std::max(steps, 1.0);
  const double wait_share = (data_wait - interval_wait_) / std::max(seconds, 1e-9);
  const MemoryUse memory = memory_use(runtime_.device());
  spdlog::info(
      "{}: epoch {}/{} step {}/{}  loss {:.4f}  acc {:.1f}%  lr {:.4g}  {:.1f} images/s  data "
      "wait {:.0f}%  ETA {}",
      job_.name, progress.epoch + 1, progress.epochs, step, progress.all_steps(), means.loss,
      100 * means.accuracy, learning_rate, images_per_second, 100 * wait_share,
      format_duration(left));
  nlohmann::ordered_json line = {{"stage", job_.name},
                                 {"kind", "train"},
                                 {"epoch", progress.epoch},
                                 {"step", step},
                                 {"loss", means.loss},
                                 {"accuracy", means.accuracy},
                                 {"lr", learning_rate},
                                 {"gradient_norm", means.gradient_norm},
                                 {"skipped", progress.skipped},
                                 {"images_per_second", images_per_second},
                                 {"data_wait", wait_share},
                                 {"host_peak_bytes", memory.host_peak},
                                 {"device_peak_bytes", memory.device_peak}};
  for (std::size_t i = 0; i < kPhases; ++i)
    line[std::string("ms_") + phase_name(static_cast<StepPhase>(i))] = times.phase[i];
  write(step, line);
  progress.seconds += seconds;
  begin_interval(step, data_wait);
}

void TrainingLog::write_verification(const TrainingProgress& progress,
                                     const std::vector<eval::SetReport>& reports) {
  for (const auto& report : reports) {
    write(progress.step(), {{"stage", job_.name},
                            {"kind", "eval"},
                            {"epoch", progress.epoch},
                            {"step", progress.step()},
                            {"set", report.name},
                            {"accuracy", report.verification.accuracy_mean},
                            {"auc", report.auc},
                            {"eer", report.eer},
                            {"xnorm", report.feature_norm}});
  }
}

/// One line in metrics.jsonl, its numbers as TensorBoard curves.
void TrainingLog::write(std::int64_t step, const nlohmann::ordered_json& line) {
  metrics_.write(line);
  if (!tensorboard_) return;
  const std::string prefix = line.at("kind").get<std::string>() +
                             (line.contains("set") ? "/" + line.at("set").get<std::string>() : "") +
                             "/";
  std::vector<TaggedValue> values;
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() && key != "step") values.emplace_back(prefix + key, value.get<double>());
  }
  tensorboard_->write(step, values);
}

bool TrainingLog::must_check_skipped(std::int64_t step) const {
  return step - checked_step_ >= std::max(config_.train.max_skipped, kFewestStepsBetweenChecks);
}

void TrainingLog::check_skipped(TrainingProgress& progress, const std::string& last_checkpoint) {
  checked_step_ = progress.step();
  const auto found = train_step_.take_skipped();
  progress.skipped = found.total;
  for (const auto skipped : found.steps) {
    // The last step of every epoch is checked, so these updates are of the current one.
    const std::int64_t back = progress.step() - skipped;
    const auto indices = back <= progress.batch
                             ? data_.global_batch(progress.epoch, progress.batch - back)
                             : std::vector<std::int64_t>();
    metrics_.write(
        {{"stage", job_.name}, {"kind", "skipped"}, {"step", skipped}, {"indices", indices}});
    std::vector<std::int64_t> shown(
        indices.begin(),
        indices.begin() + static_cast<std::ptrdiff_t>(std::min(kShownIndices, indices.size())));
    spdlog::warn(
        "{}: update {} skipped on all ranks: the loss or gradient is not finite; samples {}{} (all "
        "in metrics.jsonl)",
        job_.name, skipped, fmt::join(shown, ", "), indices.size() > kShownIndices ? ", ..." : "");
  }
  TORCH_CHECK(found.longest_run < config_.train.max_skipped, job_.name, ": ", found.longest_run,
              " consecutive updates had a non-finite loss or gradient (train.max_skipped=",
              config_.train.max_skipped,
              "). Lower train.lr or raise train.warmup_epochs; the last checkpoint is ",
              last_checkpoint.empty() ? "not written yet" : last_checkpoint);
}

}  // namespace diffprob::launch
