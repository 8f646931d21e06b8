#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/job/runtime.h"
#include "launch/train/dynamics/step_records.h"
#include "model/weights/weights.h"
#include "prune/tables/dynamics.h"

namespace diffprob::launch {

/// Training dynamics of one training (train.record, train.prune), from the forward passes that it
/// makes anyway. Each rank collects records of its rows; at the end of an epoch they go to the
/// ranks that own the samples, which add them up: 77 bytes a sample of the own range, 16 a row of
/// the epoch so far. With a history 2 bytes more a sample and epoch (train.record=history). What an
/// epoch records:
/// - the rows of all updates made. An update that is left out (loss or gradient not finite) leaves
/// no records;
/// - uniform sampling: every sample at most once. Those of the dropped incomplete last batch are
/// not in that epoch;
/// - sampling with replacement: a sample's visits in an epoch count as one, their mean
/// (prune::merge_visits). Samples that no epoch had are recorded once after the last one
/// (add_never_visited). Members are collective unless they say otherwise.
class DynamicsRecorder {
 public:
  enum class Visits { kOnceAnEpoch, kAnyNumber };
  DynamicsRecorder(std::int64_t num_samples, std::int64_t batch_size, Visits visits,
                   bool keep_history, Runtime& runtime);

  /// Where the training steps put their rows.
  [[nodiscard]] StepRecords& steps() noexcept { return steps_; }
  /// Takes the rows off the device. Not collective.
  void collect();
  /// Throws c10::Error when rows got lost, PruneError when a sample came twice that must not.
  void end_epoch();

  /// For a checkpoint: own samples, and the epoch so far. Not collective.
  [[nodiscard]] model::StateDict state();
  /// Of a checkpoint of any number of ranks. One without records: says so in the log; recording
  /// starts here. Not collective.
  void load(const std::string& checkpoint);

  /// Of the own samples, from the epochs that have ended. Not collective.
  [[nodiscard]] const prune::DynamicsState& dynamics() const { return accumulator_.state(); }
  /// Recorded so far. Not collective.
  [[nodiscard]] std::int64_t epochs() const noexcept { return accumulator_.state().epochs; }
  /// Of all ranks, ascending.
  [[nodiscard]] std::vector<std::int64_t> never_visited();
  /// Each of never_visited() once, on any rank.
  void add_never_visited(const std::vector<prune::EpochRecord>& records);
  /// Rank 0 writes.
  void write(const std::string& path, const prune::ScoreSource& source,
             const data::Dataset& dataset);

 private:
  std::int64_t num_samples_;
  std::int64_t batch_size_;
  Visits visits_;
  bool keep_history_;
  Runtime& runtime_;
  StepRecords steps_;
  std::vector<prune::EpochRecord> records_;  ///< of this rank's rows of this epoch
  std::int64_t expected_ = 0;                ///< rows of this epoch so far, over all ranks
  prune::DynamicsAccumulator accumulator_;
};

}  // namespace diffprob::launch
