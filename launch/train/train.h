#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/job/signals.h"
#include "launch/observe/metrics.h"

namespace diffprob::launch {

/// Value of train.best_set that names the mean of all sets.
inline constexpr const char* kMeanOfSets = "mean";

struct TrainJob {
  std::string name;    ///< in log lines and metrics: "train_original"
  std::string folder;  ///< checkpoints go to folder/checkpoints
  std::shared_ptr<const data::Dataset> dataset;
  std::uint64_t seed = 1;
  bool verify_untrained = false;  ///< also verify the initial network, before the first step
};

struct TrainResult {
  std::string checkpoint;  ///< the last one
  std::string dynamics;    ///< file of training dynamics, or "" without train.record
  std::int64_t steps = 0;
  double seconds = 0;  ///< of training, without verification and checkpoints, over all restarts
  std::vector<eval::SetReport> untrained;
  std::vector<eval::SetReport> reports;  ///< of the final network
};

/// The configuration that trained weights depend on, one key=value a line; keys that only watch or
/// stop a training are not in it.
[[nodiscard]] std::string training_settings(const Config& config);

/// What is wrong with batch and micro-batches of a training on so many images and ranks, "KEY:
/// what". Such a training throws ConfigError.
[[nodiscard]] std::vector<std::string> batch_problems(const Config& config, std::int64_t images,
                                                      int ranks);

/// Trains from the newest whole checkpoint in the job's folder, or from scratch. Collective.
[[nodiscard]] TrainResult train(const TrainJob& job, const Config& config,
                                std::vector<eval::ResidentSet>& sets, Metrics& metrics,
                                Runtime& runtime);

/// Verifies a finished training again, on other sets or folds, and writes its verification.json.
/// `trained`: what it came to; returns that with new reports. Collective.
[[nodiscard]] TrainResult verify_again(const TrainJob& job, TrainResult trained,
                                       const Config& config, std::vector<eval::ResidentSet>& sets,
                                       Runtime& runtime);

}  // namespace diffprob::launch
