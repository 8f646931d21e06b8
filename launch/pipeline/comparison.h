#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/metrics/confidence.h"

namespace diffprob::launch {

/// One training of a cell.
struct CellRun {
  std::uint64_t seed = 0;
  std::int64_t images = 0;
  std::int64_t identities = 0;
  std::int64_t mislabelled = 0;  ///< cleaned away
  double train_seconds = 0;
  std::vector<double> accuracy;  ///< a verification set, 0..1
  [[nodiscard]] double mean_accuracy() const;
};

/// A method at a ratio, and its trainings. The trainings on all images have method "original" and
/// ratio 1.
struct ComparisonCell {
  std::string method;
  double ratio = 1;
  std::vector<CellRun> runs;
};

enum class DifferenceVerdict {
  kNone,          ///< the original and the bar itself
  kOneSeed,       ///< no interval
  kNoSpread,      ///< all seeds of both gave the same: the interval means nothing
  kBetter,        ///< the interval of the difference lies above 0
  kWorse,         ///< below 0
  kNoDifference,  ///< it holds 0
};
[[nodiscard]] DifferenceVerdict verdict(const eval::Interval& difference);
[[nodiscard]] std::string verdict_name(DifferenceVerdict verdict);

/// What a cell comes to.
struct ComparedCell {
  const ComparisonCell* cell = nullptr;
  double images = 0;  ///< means over the seeds
  double identities = 0;
  double mislabelled = 0;
  std::vector<eval::Interval> sets;  ///< accuracy per verification set
  eval::Interval accuracy;           ///< mean accuracy over the sets
  /// Difference of `accuracy` to random at the same ratio; none for original and random.
  std::optional<eval::Interval> difference;
  double images_beyond_random = 0;  ///< share of random's images: 0.05 for 5 % more
  DifferenceVerdict verdict = DifferenceVerdict::kNone;
};

/// Every cell against the cell "random" of its ratio. Points into `cells`. Throws
/// std::invalid_argument when a ratio has no random cell, a cell has no run, or runs have not all
/// the same number of sets.
[[nodiscard]] std::vector<ComparedCell> compare(const std::vector<ComparisonCell>& cells);

}  // namespace diffprob::launch
