#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/metrics/confidence.h"
#include "launch/report/run.h"

namespace diffprob::launch {

/// A network's accuracy on a verification set; folds are empty when only the mean is known.
struct SetAccuracy {
  std::string set;
  double accuracy = 0;
  double fold_deviation = 0;
  std::vector<double> folds;
};

/// A row of the tables: the trainings of one model, one for each seed.
struct ModelRow {
  std::string model;
  std::size_t colour = 0;  ///< of all its plots
  std::vector<const ReportTraining*> trainings;
  std::vector<std::vector<SetAccuracy>> accuracies;  ///< [trainings]
  double images = 0;                                 ///< NaN when unknown
  double identities = 0;
  double seconds = 0;  ///< of a training, mean; NaN when none is finished
};

/// In the order untrained, original, pruned ones, random. Points into `run`.
[[nodiscard]] std::vector<ModelRow> model_rows(const ReportRun& run);
/// The one to compare others with, or null.
[[nodiscard]] const ModelRow* find_model(const std::vector<ModelRow>& rows,
                                         const std::string& model);
/// The run's own pruned model, or null.
[[nodiscard]] const ModelRow* pruned_model(const std::vector<ModelRow>& rows);

/// Names of all sets in the order of their first appearance.
[[nodiscard]] std::vector<std::string> sets_of(const std::vector<ModelRow>& rows);
/// Accuracy of each training on `set`; trainings without it are left out.
[[nodiscard]] std::vector<double> seed_accuracies(const ModelRow& row, const std::string& set);
/// Deviation over the folds, mean over the seeds; NaN when unknown.
[[nodiscard]] double fold_deviation(const ModelRow& row, const std::string& set);
/// Accuracy on each fold, mean over the seeds; empty when one of them lacks it.
[[nodiscard]] std::vector<double> fold_accuracies(const ModelRow& row, const std::string& set);
/// Mean over `sets` of the mean over seeds; NaN when one is missing.
[[nodiscard]] double average_accuracy(const ModelRow& row, const std::vector<std::string>& sets);

}  // namespace diffprob::launch
