#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace diffprob::prune {

struct ThresholdPoint {
  double threshold;
  std::int64_t kept;
};
struct ThresholdSearch {
  double threshold = 0;   ///< the one chosen
  std::int64_t kept = 0;  ///< what it keeps
  std::int64_t target = 0;
  std::vector<ThresholdPoint> curve;  ///< everything evaluated, by rising threshold
};

/// Finds the threshold whose kept count is nearest to `target` (ties: the larger threshold). The
/// count is not monotone in the threshold (the minimum rule), so: bracket and bisect on a
/// logarithmic grid, then scan around. Deterministic: the same evaluations on every rank.
/// `count_kept`: thresholds -> kept counts; it is asked for several at once where they do not
/// depend on each other, and may be collective. Throws PruneError when target is outside [1,
/// usable].
using CountKept = std::function<std::vector<std::int64_t>(std::span<const double>)>;
[[nodiscard]] ThresholdSearch search_threshold(std::int64_t target, std::int64_t usable,
                                               const CountKept& count_kept);

}  // namespace diffprob::prune
