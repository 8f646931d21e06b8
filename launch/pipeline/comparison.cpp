#include "launch/pipeline/comparison.h"

#include <algorithm>
#include <stdexcept>

namespace diffprob::launch {
namespace {

std::vector<double> accuracies(const ComparisonCell& cell) {
  std::vector<double> values;
  for (const auto& run : cell.runs) values.push_back(run.mean_accuracy());
  return values;
}

ComparedCell summarise(const ComparisonCell& cell, std::size_t sets) {
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
    row.sets.push_back(eval::mean_interval(values));
  }
  row.accuracy = eval::mean_interval(accuracies(cell));
  return row;
}

}  // namespace

double CellRun::mean_accuracy() const {
  return eval::estimate(accuracy).mean;
}

DifferenceVerdict verdict(const eval::Interval& difference) {
  if (!difference.half_width) return DifferenceVerdict::kOneSeed;
  if (!difference.has_spread()) return DifferenceVerdict::kNoSpread;
  if (!difference.is_clear()) return DifferenceVerdict::kNoDifference;
  return difference.mean > 0 ? DifferenceVerdict::kBetter : DifferenceVerdict::kWorse;
}

std::string verdict_name(DifferenceVerdict verdict) {
  switch (verdict) {
    case DifferenceVerdict::kOneSeed:
      return "one seed: no interval";
    case DifferenceVerdict::kNoSpread:
      return "no spread: no interval";
    case DifferenceVerdict::kBetter:
      return "better";
    case DifferenceVerdict::kWorse:
      return "worse";
    case DifferenceVerdict::kNoDifference:
      return "no difference shown";
    case DifferenceVerdict::kNone:
      break;
  }
  return "-";
}

std::vector<ComparedCell> compare(const std::vector<ComparisonCell>& cells) {
  std::vector<ComparedCell> rows;
  for (const auto& cell : cells) {
    rows.push_back(summarise(
        cell, cells.front().runs.empty() ? 0 : cells.front().runs.front().accuracy.size()));
    if (cell.method == "original" || cell.method == "random") continue;
    const auto is_bar = [&](const ComparisonCell& other) {
      return other.method == "random" && other.ratio == cell.ratio;
    };
    const auto bar = std::find_if(cells.begin(), cells.end(), is_bar);
    if (bar == cells.end())
      throw std::invalid_argument("compare: no random to compare " + cell.method + " with");
    ComparedCell& row = rows.back();
    row.difference = eval::independent_difference(accuracies(cell), accuracies(*bar));
    row.images_beyond_random = row.images / summarise(*bar, row.sets.size()).images - 1;
    row.verdict = verdict(*row.difference);
  }
  return rows;
}

}  // namespace diffprob::launch
