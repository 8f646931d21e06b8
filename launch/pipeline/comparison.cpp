#include "launch/pipeline/comparison.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace diffprob::launch {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Squared standard error of the mean.
double squared_error(std::span<const double> values) {
  const double centre = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const auto n = static_cast<double>(values.size());
  return squares / (n - 1) / n;
}

/// P(-t < T < t). With T = sqrt(v) tan(angle) its density is cos(angle)^(v - 1) up to a factor,
/// smooth on the finite interval: Simpson's rule.
double central_probability(double t, double v) {
  constexpr int kSteps = 1000;  // even
  const double width = std::atan(t / std::sqrt(v)) / kSteps;
  double sum = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
    sum += weight * std::pow(std::cos(width * i), v - 1);
  }
  const double whole =
      std::sqrt(std::numbers::pi) / 2 * std::exp(std::lgamma(v / 2) - std::lgamma((v + 1) / 2));
  return sum * width / 3 / whole;
}

std::vector<double> accuracies(const Cell& cell) {
  std::vector<double> values;
  for (const auto& run : cell.runs) values.push_back(run.mean_accuracy());
  return values;
}

ComparedCell summarise(const Cell& cell, std::size_t sets) {
  if (cell.runs.empty()) throw std::invalid_argument("compare: no run of " + cell.method);
  ComparedCell row;
  row.cell = &cell;
  const auto n = static_cast<double>(cell.runs.size());
  for (const auto& run : cell.runs) {
    if (run.accuracy.size() != sets || sets == 0)
      throw std::invalid_argument("compare: verification sets of " + cell.method);
    row.images += static_cast<double>(run.images) / n;
    row.identities += static_cast<double>(run.identities) / n;
    row.mislabelled += static_cast<double>(run.mislabelled) / n;
  }
  for (std::size_t set = 0; set < sets; ++set) {
    std::vector<double> values;
    for (const auto& run : cell.runs) values.push_back(run.accuracy[set]);
    row.sets.push_back(mean_interval(values));
  }
  row.accuracy = mean_interval(accuracies(cell));
  return row;
}

}  // namespace

double CellRun::mean_accuracy() const {
  return mean(accuracy);
}

double student_95(double degrees_of_freedom) {
  if (!(degrees_of_freedom >= 1))
    throw std::invalid_argument("student_95: want 1 degree of freedom or more");
  double low = 1.9, high = 12.8;  // from infinitely many to one: 1.96 to 12.71
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (central_probability(middle, degrees_of_freedom) < 0.95 ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval mean_interval(std::span<const double> values) {
  Interval interval{mean(values), std::nullopt, 0};
  if (values.size() < 2) return interval;
  interval.degrees_of_freedom = static_cast<double>(values.size() - 1);
  interval.half_width = student_95(interval.degrees_of_freedom) * std::sqrt(squared_error(values));
  return interval;
}

Interval welch_difference(std::span<const double> a, std::span<const double> b) {
  Interval interval{mean(a) - mean(b), std::nullopt, 0};
  if (a.size() < 2 || b.size() < 2) return interval;
  const double of_a = squared_error(a), of_b = squared_error(b), sum = of_a + of_b;
  interval.half_width = 0;
  // Equal accuracies may differ in their last bit once they are means over sets.
  if (std::sqrt(sum) < 1e-12) return interval;
  const auto lost = [](double error, std::size_t n) {
    return error * error / static_cast<double>(n - 1);
  };
  interval.degrees_of_freedom = sum * sum / (lost(of_a, a.size()) + lost(of_b, b.size()));
  interval.half_width = student_95(interval.degrees_of_freedom) * std::sqrt(sum);
  return interval;
}

Verdict verdict(const Interval& difference) {
  if (!difference.half_width) return Verdict::kOneSeed;
  if (difference.degrees_of_freedom == 0) return Verdict::kNoSpread;
  if (difference.mean > *difference.half_width) return Verdict::kBetter;
  return difference.mean < -*difference.half_width ? Verdict::kWorse : Verdict::kNoDifference;
}

std::string verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOneSeed:
      return "one seed: no interval";
    case Verdict::kNoSpread:
      return "no spread: no interval";
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kNoDifference:
      return "no difference shown";
    case Verdict::kNone:
      break;
  }
  return "-";
}

std::vector<ComparedCell> compare(const std::vector<Cell>& cells) {
  std::vector<ComparedCell> rows;
  for (const auto& cell : cells) {
    rows.push_back(summarise(
        cell, cells.front().runs.empty() ? 0 : cells.front().runs.front().accuracy.size()));
    if (cell.method == "original" || cell.method == "random") continue;
    const auto is_bar = [&](const Cell& other) {
      return other.method == "random" && other.ratio == cell.ratio;
    };
    const auto bar = std::find_if(cells.begin(), cells.end(), is_bar);
    if (bar == cells.end())
      throw std::invalid_argument("compare: no random to compare " + cell.method + " with");
    ComparedCell& row = rows.back();
    row.difference = welch_difference(accuracies(cell), accuracies(*bar));
    row.images_beyond_random = row.images / summarise(*bar, row.sets.size()).images - 1;
    row.verdict = verdict(*row.difference);
  }
  return rows;
}

}  // namespace diffprob::launch
