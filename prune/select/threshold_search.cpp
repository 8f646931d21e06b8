#include "prune/select/threshold_search.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

// The grid: kSteps thresholds an octave from 2^-kOctaves (below every gap that float32 scores can
// have) to 1 (no gap is above), linear inside the octave. Every grid threshold is exact in float64,
// so it is the same on every machine.
constexpr std::int64_t kOctaves = 160;
constexpr std::int64_t kSteps = 1 << 16;
constexpr std::int64_t kLast = kOctaves * kSteps;

double grid_threshold(std::int64_t k) {
  const double mantissa = 1 + static_cast<double>(k % kSteps) / static_cast<double>(kSteps);
  return std::ldexp(mantissa, static_cast<int>(k / kSteps - kOctaves));
}

/// Every eighth octave up to 2^-40, every octave from there: fine enough to see where the count
/// turns up again, which it does for Preset::kReference at large thresholds.
std::vector<std::int64_t> coarse_points() {
  constexpr std::int64_t kFineOctaves = 40;
  std::vector<std::int64_t> points;
  for (std::int64_t octave = 0; octave < kOctaves - kFineOctaves; octave += 8)
    points.push_back(octave * kSteps);
  for (std::int64_t octave = kOctaves - kFineOctaves; octave <= kOctaves; ++octave)
    points.push_back(octave * kSteps);
  return points;
}

/// Evaluated points of the grid, each evaluated once.
class Curve {
 public:
  explicit Curve(const CountKept& count_kept) : count_kept_(count_kept) {}

  std::int64_t at(std::int64_t k) {
    evaluate({k});
    return counts_.at(k);
  }

  /// All points that are not known yet, in one call.
  void evaluate(const std::vector<std::int64_t>& points) {
    std::vector<std::int64_t> asked;
    std::vector<double> thresholds;
    for (const std::int64_t k : points) {
      if (counts_.contains(k) || std::find(asked.begin(), asked.end(), k) != asked.end()) continue;
      asked.push_back(k);
      thresholds.push_back(grid_threshold(k));
    }
    if (asked.empty()) return;
    const auto kept = count_kept_(thresholds);
    for (std::size_t i = 0; i < asked.size(); ++i) counts_.emplace(asked[i], kept.at(i));
  }

  [[nodiscard]] std::int64_t largest_count() const {
    const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
    return std::max_element(counts_.begin(), counts_.end(), less)->second;
  }

  /// Point with the count nearest to the target; ties: the larger threshold.
  [[nodiscard]] std::pair<std::int64_t, std::int64_t> nearest(std::int64_t target) const {
    std::pair<std::int64_t, std::int64_t> best = *counts_.begin();
    for (const auto& point : counts_) {
      if (std::abs(point.second - target) <= std::abs(best.second - target)) best = point;
    }
    return best;
  }

  [[nodiscard]] std::vector<ThresholdPoint> points() const {
    std::vector<ThresholdPoint> all;
    for (const auto& [k, kept] : counts_) all.push_back({grid_threshold(k), kept});
    return all;
  }

 private:
  const CountKept& count_kept_;
  std::map<std::int64_t, std::int64_t> counts_;
};

/// First neighbours of the coarse grid, from small thresholds on, where the count falls below the
/// target.
std::optional<std::pair<std::int64_t, std::int64_t>> bracket(
    Curve& curve, const std::vector<std::int64_t>& points, std::int64_t target) {
  for (std::size_t i = 0; i + 1 < points.size(); ++i) {
    if (curve.at(points[i]) >= target && curve.at(points[i + 1]) < target)
      return {{points[i], points[i + 1]}};
  }
  return std::nullopt;
}

/// Narrows a bracket to neighbours of the fine grid; count(low) >= target > count(high) holds
/// throughout, monotone or not.
void bisect(Curve& curve, std::int64_t low, std::int64_t high, std::int64_t target) {
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (curve.at(middle) >= target ? low : high) = middle;
  }
}

/// The count is not monotone: a nearer one may lie a few steps off. Looks on both sides at three
/// scales.
void scan_around(Curve& curve, std::int64_t centre, std::int64_t target) {
  for (const std::int64_t stride : {1, 32, 1024}) {
    if (curve.nearest(target).second == target) return;
    std::vector<std::int64_t> points;
    for (std::int64_t step = -4; step <= 4; ++step)
      points.push_back(std::clamp<std::int64_t>(centre + step * stride, 0, kLast));
    curve.evaluate(points);
  }
}

}  // namespace

ThresholdSearch search_threshold(std::int64_t target, std::int64_t usable,
                                 const CountKept& count_kept) {
  if (target < 1 || target > usable) {
    throw PruneError("threshold search: target is " + std::to_string(target) +
                     " samples, expected 1 to " + std::to_string(usable) + " (the usable ones)");
  }
  Curve curve(count_kept);
  const auto points = coarse_points();
  curve.evaluate(points);
  // More wanted than any threshold keeps (equal scores): the largest threshold that keeps as many
  // as can be kept.
  const std::int64_t reachable = std::min(target, curve.largest_count());
  if (const auto cell = bracket(curve, points, reachable))
    bisect(curve, cell->first, cell->second, reachable);
  scan_around(curve, curve.nearest(reachable).first, reachable);
  const auto [k, kept] = curve.nearest(target);
  return {grid_threshold(k), kept, target, curve.points()};
}

}  // namespace diffprob::prune
