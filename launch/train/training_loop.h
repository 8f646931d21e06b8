#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/loading/loader.h"
#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/inputs/training_data.h"
#include "launch/job/runtime.h"
#include "launch/job/signals.h"
#include "launch/observe/metrics.h"
#include "launch/observe/order_trace.h"
#include "launch/observe/profile_trace.h"
#include "launch/train/dynamics/dynamics_recorder.h"
#include "launch/train/dynamics/epoch_pruning.h"
#include "launch/train/train.h"
#include "launch/train/train_step.h"
#include "launch/train/training_checkpoints.h"
#include "launch/train/training_log.h"
#include "launch/train/training_progress.h"
#include "model/optim/lr_schedule.h"

namespace diffprob::launch {

/// One training, from resume to the last checkpoint: epochs of steps, with log lines, checkpoints
/// and verification in between. One per rank; members are collective.
class TrainingLoop {
 public:
  TrainingLoop(const TrainJob& job, const Config& config, std::vector<eval::ResidentSet>& sets,
               Metrics& metrics, Runtime& runtime);

  /// Throws Stopped when a signal or train.max_time ends it; the checkpoint is written before.
  [[nodiscard]] TrainResult run();

 private:
  void train_epoch();
  /// Decides which samples the epoch has, and how many batches.
  void begin_epoch();
  void end_epoch(TrainResult& outcome);
  /// Checkpoint and verification between two steps of an epoch, where they are due.
  void within_epoch();
  /// Verifies the network after an epoch where that is due, and saves it when it is the best.
  void verify_epoch(TrainResult& outcome);
  /// Makes up for a verification that a checkpoint was written before and that may not have come to
  /// an end: the best network must not be missed.
  void verify_resumed(TrainResult& outcome);
  /// train.eval_every_steps asks for a verification here.
  [[nodiscard]] bool is_verified_step() const;
  void next_epoch();
  [[noreturn]] void stop(double data_wait);
  void log(double learning_rate, double data_wait);
  void save();
  [[nodiscard]] std::vector<eval::SetReport> verify();

  const TrainJob& job_;
  const Config& config_;
  std::vector<eval::ResidentSet>& sets_;
  Runtime& runtime_;
  TrainingData data_;
  TrainStep train_step_;
  model::LrSchedule schedule_;
  std::optional<DynamicsRecorder> recorder_;  ///< with train.record or train.prune
  std::optional<EpochPruning> pruning_;       ///< with train.prune
  TrainingCheckpoints checkpoints_;
  TrainingLog log_;
  StopAgreement stop_;
  TrainingProgress progress_;
  std::optional<OrderTrace> order_;  ///< with train.trace_order
  std::optional<ProfileTrace> trace_;
};

}  // namespace diffprob::launch
