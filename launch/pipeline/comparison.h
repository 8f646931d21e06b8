#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

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
struct Cell {
  std::string method;
  double ratio = 1;
  std::vector<CellRun> runs;
};

/// Mean, or difference of means, with half the width of its 95 % interval.
struct Interval {
  double mean = 0;
  std::optional<double> half_width;  ///< none from one value
  double degrees_of_freedom = 0;     ///< 0 without an interval
};

/// The two-sided 95 % point of Student's t (the 0.975 quantile); degrees of freedom 1 or more, need
/// not be whole.
[[nodiscard]] double student_95(double degrees_of_freedom);
/// Student interval of a mean; at least one value.
[[nodiscard]] Interval mean_interval(std::span<const double> values);
/// Welch interval of mean(a) - mean(b), degrees of freedom by Welch and Satterthwaite. None when
/// either has one value; of width 0 and with 0 degrees of freedom when neither has any spread.
[[nodiscard]] Interval welch_difference(std::span<const double> a, std::span<const double> b);

enum class Verdict {
  kNone,          ///< the original and the bar itself
  kOneSeed,       ///< no interval
  kNoSpread,      ///< all seeds of both gave the same: the interval means nothing
  kBetter,        ///< the interval of the difference lies above 0
  kWorse,         ///< below 0
  kNoDifference,  ///< it holds 0
};
[[nodiscard]] Verdict verdict(const Interval& difference);
[[nodiscard]] std::string verdict_name(Verdict verdict);

/// What a cell comes to.
struct ComparedCell {
  const Cell* cell = nullptr;
  double images = 0;  ///< means over the seeds
  double identities = 0;
  double mislabelled = 0;
  std::vector<Interval> sets;  ///< accuracy, a verification set
  Interval accuracy;           ///< of the mean over the sets
  std::optional<Interval>
      difference;                   ///< of that to random at the same ratio; none: original, random
  double images_beyond_random = 0;  ///< share of random's images: 0.05 for 5 % more
  Verdict verdict = Verdict::kNone;
};

/// Every cell against the cell "random" of its ratio. Points into `cells`. Throws
/// std::invalid_argument when a ratio has no random cell, a cell has no run, or runs have not all
/// the same number of sets.
[[nodiscard]] std::vector<ComparedCell> compare(const std::vector<Cell>& cells);

}  // namespace diffprob::launch
