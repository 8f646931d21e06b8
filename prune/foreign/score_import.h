#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// What scores of others are joined with. Without labels: num_classes 0 and no labels.
struct SampleLabels {
  std::vector<std::int32_t> labels;  ///< [N]
  std::int64_t num_classes = 0;
  std::string dataset_fingerprint;  ///< "" when the labels come from a list
};
/// Labels of a list file: one whole number a line, or a .npy of whole numbers. num_classes =
/// largest + 1. Throws PruneError.
[[nodiscard]] SampleLabels read_labels(const std::string& path);

enum class ScoreValue { kProbability, kNll };
/// Which row of [E, N] scores counts.
struct EpochChoice {
  enum class Rule {
    kOnly,
    kLast,
    kMean,
    kNumber
  } rule = Rule::kOnly;     ///< kOnly: there must be one. kMean: of the probabilities, in float64
  std::int64_t number = 0;  ///< of kNumber: a row from 0, of a folder the E of prob_E.txt
};
/// "", "last", "mean" or a number from 0. Throws PruneError on anything else.
[[nodiscard]] EpochChoice parse_epoch(std::string_view text);

/// A .npy, text or folder of numbers (prune/foreign/score_rows.h) as a score table with nll and
/// probability alone, whichever it holds: the other is computed from it. Rows are read one at a
/// time. A probability of -1 is the mark of the paper's code for a mispredicted sample
/// (pred_prob_clean): the table then has top1 too, the label or kUnknownClass, and the score of a
/// marked sample is unknown. kMean: as the paper's code, marks count as -1, and a sample is marked
/// whose mean is below 0. Throws PruneError: values out of range, another number of samples than
/// labels, several rows and no choice.
[[nodiscard]] ScoreTable import_scores(const std::string& path, ScoreValue value,
                                       const EpochChoice& epoch, const SampleLabels& samples);

/// Whether -1 may stand in place of a probability.
enum class Marks { kRefuse, kAllow };
/// The mark of a mispredicted sample.
inline constexpr double kMispredictedMark = -1;

/// Throws PruneError, naming row (of a folder: the file) and sample, unless there are `samples`
/// values, and all are probabilities (0 to 1) or -log p (at least 0).
void check_score_row(const std::string& path, std::int64_t row, std::span<const double> values,
                     ScoreValue value, std::size_t samples, Marks marks);

/// -log p of a probability in [0, 1], and back. Never -0.
[[nodiscard]] double nll_of(double probability);
[[nodiscard]] double probability_of(double nll);
/// Source of imported scores: labels' fingerprint, margin and scale unknown (NaN).
[[nodiscard]] ScoreSource imported_source(const SampleLabels& samples);

}  // namespace diffprob::prune
