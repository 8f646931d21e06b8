#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace diffprob::launch {

/// A training, scoring or pruning that is done, now or by an earlier start.
struct FinishedStage {
  std::string name;         ///< "train_original", "score", "prune", "train_pruned_s0", ...
  std::int64_t images = 0;  ///< in the data set it worked on
  nlohmann::json result;    ///< what its stage.json says; null members count as unknown
};

/// Encoded images, as they lie on disk.
struct ImageBytes {
  std::int64_t all = 0;
  std::int64_t kept = 0;
};

/// What the cost of a run is computed from.
struct CostInputs {
  std::vector<FinishedStage> stages;
  std::int64_t batch_size = 0;  ///< samples of an update, of all ranks
  std::int64_t epochs = 0;
  bool original_given = false;         ///< the original network was trained elsewhere
  bool prunes_while_training = false;  ///< train.prune
  std::optional<ImageBytes> bytes;     ///< none: the data set does not know them
};

/// What a stage, or several of the same kind, took.
struct Cost {
  std::int64_t stages = 0;
  std::int64_t trained = 0;  ///< images of all updates made
  std::int64_t scored = 0;   ///< images that went through the network without training it
  std::int64_t skipped = 0;  ///< images that train.prune left out of the epochs
  /// Of all restarts; without verification and checkpoints where it trains. None: a stage of an
  /// earlier program does not say.
  std::optional<double> seconds = 0.0;
};

/// After how many trainings on the kept set the seconds of the pruning are saved again: its cost
/// divided by what one such training saves. At least 0; not rounded.
struct PayBack {
  std::optional<double> original_wanted;    ///< cost: scoring and pruning
  std::optional<double> for_pruning_alone;  ///< cost: original training, scoring and pruning
};

struct RunCost {
  Cost original;
  Cost scoring;  ///< with the trainings of score.folds
  Cost pruning;
  Cost kept;        ///< trainings on the kept set, all seeds together
  Cost comparison;  ///< prunings and trainings of run.compare_random
  /// Seconds of a training on all images minus the mean of those on the kept set. None: one of them
  /// did not take place here, or does not say its seconds.
  std::optional<double> saved_seconds;
  std::optional<double> saved_images;  ///< in the same way, images trained
  PayBack pay_back;
  /// Trainings on the kept set are not cheaper, so that the pruning never pays for itself. Then
  /// pay_back is empty.
  bool never = false;
};

/// A stage counts by its name. Images trained are updates times batch_size, so that those of an
/// incomplete last batch, which is dropped, do not count; with a batch size that was changed in the
/// middle they are only as good as that. Not collective.
[[nodiscard]] RunCost run_cost(const CostInputs& inputs);

/// Member `cost` of summary.json (launch/docs/scoring_and_pruning.md).
[[nodiscard]] nlohmann::json cost_json(const CostInputs& inputs, const RunCost& cost);
/// Up to five lines for the terminal and summary.txt.
[[nodiscard]] std::string cost_text(const CostInputs& inputs, const RunCost& cost);

}  // namespace diffprob::launch
