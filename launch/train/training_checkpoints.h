#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/embed/embedder.h"
#include "launch/checkpoint/writer.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/train/dynamics/dynamics_recorder.h"
#include "launch/train/train.h"
#include "launch/train/train_step.h"
#include "launch/train/training_progress.h"

namespace diffprob::launch {

/// The checkpoints of one training: the one it resumes from, those it writes, and which of them is
/// the best on train.best_set. One per rank; members are collective unless they say otherwise.
class TrainingCheckpoints {
 public:
  /// `recorder`: null without train.record and train.prune.
  TrainingCheckpoints(const TrainJob& job, const Config& config, TrainStep& train_step,
                      DynamicsRecorder* recorder, Runtime& runtime);

  /// Loads the newest whole checkpoint into network, head and optimisers, and `progress`; without
  /// one, the network of train.init. Throws c10::Error on all ranks when the settings differ.
  void resume(TrainingProgress& progress);
  /// `train_seconds`: seconds of training so far, over all restarts.
  void save(const TrainingProgress& progress, double train_seconds);
  /// Waits until the last checkpoint is whole on disk.
  void finish() { writer_.finish(); }

  /// Remembers a better result on train.best_set, a set or the mean of all. Returns true when there
  /// is one. Not collective, alike on all ranks.
  [[nodiscard]] bool note_best(const std::vector<eval::SetReport>& reports, std::int64_t step);
  /// Returns true when this step was saved or resumed from. Not collective.
  [[nodiscard]] bool is_saved(std::int64_t step) const noexcept { return saved_step_ == step; }
  /// Folder of the last one, or "". Not collective.
  [[nodiscard]] const std::string& newest() const noexcept { return writer_.newest(); }

 private:
  void start_from_weights();
  void start_from_head();
  void resume_at(const CheckpointInfo& info, TrainingProgress& progress);
  void check_classes(const std::string& checkpoint, const CheckpointInfo& info) const;
  [[nodiscard]] std::optional<double> result(const std::vector<eval::SetReport>& reports) const;
  [[nodiscard]] CheckpointInfo info(const TrainingProgress& progress, double train_seconds) const;

  const TrainJob& job_;
  const Config& config_;
  TrainStep& train_step_;
  DynamicsRecorder* recorder_;
  Runtime& runtime_;
  std::string settings_;  ///< what the weights depend on: others are not continued
  std::string best_set_;  ///< what best_ is the accuracy of: "lfw", "mean of lfw, cfp_fp", or ""
  CheckpointWriter writer_;
  std::optional<double> best_;
  std::int64_t best_step_ = -1;
  std::int64_t saved_step_ = -1;
  std::int64_t resumed_step_ = 0;     ///< of the checkpoint that this process resumed from
  std::int64_t resumed_samples_ = 0;  ///< consumed up to it
};

}  // namespace diffprob::launch
