#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/inputs/training_data.h"
#include "launch/job/runtime.h"
#include "launch/observe/metrics.h"
#include "launch/observe/tensorboard.h"
#include "launch/train/train.h"
#include "launch/train/train_step.h"
#include "launch/train/training_progress.h"

namespace diffprob::launch {

/// What a training says while it runs: log lines, metrics.jsonl and TensorBoard curves. One per
/// rank. Members are collective unless they say otherwise, because means are taken over all ranks.
class TrainingLog {
 public:
  using Clock = std::chrono::steady_clock;

  TrainingLog(const TrainJob& job, const Config& config, const TrainingData& data,
              TrainStep& train_step, Metrics& metrics, Runtime& runtime);

  /// Opens TensorBoard's file on rank 0; curves of a resumed training continue at `step`. Not
  /// collective.
  void open(std::int64_t step);
  /// Starts the interval that the next line covers. `data_wait`: seconds that the epoch's loader
  /// has made the training wait so far. Not collective.
  void begin_interval(std::int64_t step, double data_wait);
  /// The interval does not count the time while this object lives: that of a verification.
  class Pause {
   public:
    explicit Pause(TrainingLog& log) : log_(log) {}
    ~Pause() { log_.interval_start_ += Clock::now() - begin_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    TrainingLog& log_;
    Clock::time_point begin_ = Clock::now();
  };
  /// Not collective.
  [[nodiscard]] Pause pause() { return Pause(*this); }
  /// Returns true when steps were made since the last line. Not collective.
  [[nodiscard]] bool is_behind(std::int64_t step) const noexcept { return step != interval_step_; }
  /// Seconds since the last line; 0 when no step was made since. Not collective.
  [[nodiscard]] double seconds_since_line(std::int64_t step) const;

  /// Writes one line for the steps since the last one and adds their seconds and skipped updates
  /// to `progress`. `last_checkpoint`: for the error when too many updates in a row were skipped;
  /// then it throws c10::Error on all ranks.
  void write_steps(TrainingProgress& progress, double learning_rate, double data_wait,
                   const std::string& last_checkpoint);
  /// Returns true when skipped updates must be looked at although no line is due: log lines may be
  /// far apart. Not collective.
  [[nodiscard]] bool must_check_skipped(std::int64_t step) const;
  /// Reports the updates skipped since the last check; throws as write_steps does. Waits for the
  /// device.
  void check_skipped(TrainingProgress& progress, const std::string& last_checkpoint);
  /// One line in metrics.jsonl per verification set. Not collective.
  void write_verification(const TrainingProgress& progress,
                          const std::vector<eval::SetReport>& reports);

 private:
  [[nodiscard]] double seconds_of_interval() const;
  void write(std::int64_t step, const nlohmann::ordered_json& line);

  const TrainJob& job_;
  const Config& config_;
  const TrainingData& data_;
  TrainStep& train_step_;
  Metrics& metrics_;
  Runtime& runtime_;
  std::optional<TensorBoard> tensorboard_;
  Clock::time_point interval_start_ = Clock::now();
  std::int64_t interval_step_ = 0;
  std::int64_t checked_step_ = 0;  ///< up to which skipped updates were reported
  double interval_wait_ = 0;
};

}  // namespace diffprob::launch
