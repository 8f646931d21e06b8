#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/embed/resident_set.h"
#include "launch/checkpoint/network.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/observe/metrics.h"
#include "launch/pipeline/cost.h"
#include "launch/pipeline/stage.h"
#include "launch/score/score.h"
#include "launch/train/train.h"
#include "prune/lists/index_set.h"
#include "prune/prune_options.h"

namespace diffprob::launch {

/// What a finished training has left.
struct TrainedStage {
  std::string checkpoint;
  std::string dynamics;   ///< "" when none were recorded
  nlohmann::json result;  ///< of its stage: steps, seconds, untrained, reports (reports_to_json)
};

/// What a finished pruning has left.
struct PrunedStage {
  prune::IndexSet set;
  std::int64_t mislabelled = 0;
};

/// The work of `run` and `sweep`, stage by stage, in folders of config.output. What was done before
/// from the same inputs is not done again. All functions that make a stage are collective.
class PipelineStages {
 public:
  PipelineStages(const Config& config, Runtime& runtime, const std::string& metrics_file);

  /// While `advice` is not empty, a stage that is not done yet is a ConfigError that ends with it,
  /// and nothing is made or moved.
  void require_done(std::string advice) { advice_ = std::move(advice); }

  /// Makes the synthetic faces if they are wanted (stage data), opens the training set and the
  /// verification sets. First of all.
  void open_data();
  /// Trains in a stage called job.name; job.folder is the stage's. `record`: as train.record.
  [[nodiscard]] TrainedStage train_on(TrainJob job, RecordDynamics record);
  /// Scores the whole training set with the original network or, with score.folds, each fold with
  /// a network that was trained without it; returns the score file.
  [[nodiscard]] std::string score_original(const std::string& checkpoint);
  /// Trains a network on all but each fold of score.folds (stages train_fold0, ...), scores the
  /// fold with it (score_fold0, ...) and puts the scores together (stage score); returns the score
  /// file.
  [[nodiscard]] std::string score_folds();
  /// Scores the whole training set (stage score); returns the score file.
  [[nodiscard]] std::string score_with(const std::string& checkpoint);
  /// Evaluates a network on the folders of eval.ijb in a stage of that name, which holds ijb.json
  /// and the ROC curves. Returns a list of what ijb_to_json() gives; empty without eval.ijb.
  [[nodiscard]] nlohmann::json ijb_with(const std::string& stage, const std::string& checkpoint);
  /// The same for the network that was trained elsewhere; after verify_given().
  [[nodiscard]] nlohmann::json ijb_given(const std::string& stage);
  /// Instead of a first training: verifies the network of model.checkpoint, which was trained
  /// elsewhere (stage given_original). Its result has no checkpoint and no dynamics.
  [[nodiscard]] TrainedStage verify_given();
  /// Scores with that network and model.head; after verify_given().
  [[nodiscard]] std::string score_given();
  /// `dynamics`: file, read when the options need one.
  [[nodiscard]] PrunedStage prune_by(const std::string& stage, const prune::PruneOptions& options,
                                     const std::string& scores, const std::string& dynamics);

  [[nodiscard]] const Config& config() const noexcept { return config_; }
  [[nodiscard]] const std::shared_ptr<const data::Dataset>& dataset() const noexcept {
    return dataset_;
  }
  [[nodiscard]] const std::vector<eval::ResidentSet>& sets() const noexcept { return sets_; }
  /// Trainings, scorings and prunings so far, in their order, those that were done before as well.
  [[nodiscard]] const std::vector<FinishedStage>& finished() const noexcept { return finished_; }
  /// planted.csv of the synthetic faces, or "".
  [[nodiscard]] const std::string& planted() const noexcept { return planted_; }
  /// Of the trainings and draws number `index` of run.seeds.
  [[nodiscard]] std::uint64_t seed(std::int64_t index) const {
    return static_cast<std::uint64_t>(config_.seed + index);
  }

 private:
  /// Scores a data set in a stage of that name; returns the score file.
  [[nodiscard]] std::string score_in(const std::string& stage,
                                     const std::shared_ptr<const data::Dataset>& dataset,
                                     const std::string& fingerprint,
                                     const std::function<LoadedModel()>& load);
  [[nodiscard]] nlohmann::json ijb_by(const std::string& stage, const std::string& fingerprint,
                                      const std::function<LoadedNetwork()>& load);
  [[nodiscard]] Stage open_stage(const std::string& name, StageInputs inputs);
  /// SHA-256 of a file that all ranks see. Rank 0 reads it, once.
  [[nodiscard]] const std::string& digest_of(const std::string& file);

  Config config_;
  Runtime& runtime_;
  Metrics metrics_;
  std::string advice_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::vector<eval::ResidentSet> sets_;
  std::string sets_digest_;
  std::map<std::string, std::string> digests_;  ///< by path
  std::vector<FinishedStage> finished_;
  std::string planted_;
  std::string given_;  ///< fingerprint of the network that was trained elsewhere
};

/// Throws ConfigError when score.folds meets a network or centres that it does not use.
void check_folds(const Config& config);
/// Throws ConfigError, naming the key that asks for it, when a pruning needs training dynamics that
/// nobody records or names, or dynunc more epochs than train.epochs.
void check_dynamics(const Config& config, const prune::PruneOptions& options,
                    const std::string& asked_by);

}  // namespace diffprob::launch
