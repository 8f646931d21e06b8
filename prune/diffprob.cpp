#include "prune/diffprob.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

using Values = std::span<const double>;  // scores of one identity, falling

/// 1 + d for d = 0, -0.01, ...: d by repeated subtraction in float64, as the reference accumulates it. At the end 1 + d <= -1, so that
/// (1 + d) t is below 0 for every positive t, subnormal ones too, and the walk keeps everything.
const std::vector<double>& relaxations() {
  static const std::vector<double> table = [] {
    std::vector<double> factors;
    for (double d = 0.0; factors.empty() || factors.back() > -1.0; d = d - 0.01) factors.push_back(1 + d);
    return factors;
  }();
  return table;
}

/// One walk: calls keep(position) for each sample kept when the next one must lie more than `gap` below the last one kept.
template <class Keep>
void walk(Values values, double gap, const Keep& keep) {
  double last = values[0];
  keep(std::size_t{0});
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (last - values[i] > gap) {
      last = values[i];
      keep(i);
    }
  }
}

/// How many samples walk() keeps. Without a branch on the scores, because which are kept cannot be predicted: half the time on spread
/// scores.
std::int64_t count_walk(Values values, double gap) {
  double last = values[0];
  std::int64_t kept = 1;
  for (const double value : values.subspan(1)) {
    const bool keep = last - value > gap;
    last = keep ? value : last;
    kept += keep ? 1 : 0;
  }
  return kept;
}

/// The same for kLanes gaps at once: the walks do not wait for each other.
constexpr std::size_t kLanes = 8;
void count_walks(Values values, const std::array<double, kLanes>& gaps, std::array<std::int64_t, kLanes>& kept) {
  std::array<double, kLanes> last;
  std::array<std::int64_t, kLanes> count;
  last.fill(values[0]);
  count.fill(1);
  for (const double value : values.subspan(1)) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const bool keep = last[lane] - value > gaps[lane];
      last[lane] = keep ? value : last[lane];
      count[lane] += keep ? 1 : 0;
    }
  }
  kept = count;
}

/// Whether walk() keeps at least `wanted`; stops as soon as it does, which pays in the bisection: there `wanted` is small.
bool reaches(Values values, double gap, std::int64_t wanted) {
  double last = values[0];
  std::int64_t kept = 1;
  for (std::size_t i = 1; i < values.size() && kept < wanted; ++i) {
    if (last - values[i] > gap) {
      last = values[i];
      ++kept;
    }
  }
  return kept >= wanted;
}

/// The options of one pass with all gaps (1 + d) t that it may try, falling.
class GapRule {
 public:
  GapRule(const DiffProbOptions& options, double threshold) : preset_(options.preset) {
    for (const double factor : relaxations()) {
      const double gap = factor * threshold;
      if (preset_ == Preset::kDefault && !(gap > 0)) break;
      gaps_.push_back(gap);
    }
  }

  /// The threshold itself.
  [[nodiscard]] double plain() const { return gaps_.front(); }

  /// How many are kept of an identity of which `plain_kept` lie more than the threshold apart.
  [[nodiscard]] std::int64_t count(Values values, std::int64_t minimum, std::int64_t plain_kept) const {
    if (static_cast<std::int64_t>(values.size()) <= minimum) return static_cast<std::int64_t>(values.size());
    if (preset_ == Preset::kReference && minimum == 1) return 1;
    if (plain_kept >= minimum) return plain_kept;
    const auto gap = lowered(values, minimum);
    return gap ? count_walk(values, *gap) : minimum;
  }

  /// The largest gap of the sequence that keeps `minimum` of an identity with more samples than that; none: no gap does (kDefault alone).
  [[nodiscard]] std::optional<double> gap_for(Values values, std::int64_t minimum) const {
    if (preset_ == Preset::kReference && minimum == 1) return std::numeric_limits<double>::infinity();  // the reference makes no walk then
    if (reaches(values, gaps_.front(), minimum)) return gaps_.front();
    return lowered(values, minimum);
  }

 private:
  /// The same when the first gap is known not to do. The kept count never falls as the gap falls, so bisection gives what trying one after
  /// the other gives.
  [[nodiscard]] std::optional<double> lowered(Values values, std::int64_t minimum) const {
    if (!reaches(values, gaps_.back(), minimum)) return std::nullopt;
    return *std::partition_point(gaps_.begin() + 1, gaps_.end() - 1, [&](double gap) { return !reaches(values, gap, minimum); });
  }

  Preset preset_;
  std::vector<double> gaps_;
};

/// Positions of the `wanted` samples with the largest gap to the sample before them; the first sample's gap counts as infinite.
/// Equal gaps: the smaller slot.
std::vector<std::size_t> largest_gaps(Values values, std::span<const std::uint32_t> slots, std::int64_t wanted) {
  std::vector<std::size_t> positions(values.size());
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  const auto before = [&](std::size_t a, std::size_t b) {
    const double gap_a = values[a - 1] - values[a];
    const double gap_b = values[b - 1] - values[b];
    return gap_a != gap_b ? gap_a > gap_b : slots[a] < slots[b];
  };
  if (wanted > 1) std::nth_element(positions.begin() + 1, positions.begin() + wanted - 1, positions.end(), before);
  positions.resize(static_cast<std::size_t>(wanted));
  return positions;
}

/// Selection of one identity; the buffer is reused from identity to identity.
class IdentitySelector {
 public:
  explicit IdentitySelector(const DiffProbOptions& options) : rule_(options, options.threshold), floor_(options.floor) {}

  void select(Values values, std::span<const std::uint32_t> slots, std::span<Reason> reasons) {
    const std::int64_t minimum = floor_.of(static_cast<std::int64_t>(values.size()));
    if (static_cast<std::int64_t>(values.size()) <= minimum) return write(slots, reasons, Reason::kKept);
    write(slots, reasons, Reason::kRedundant);
    const auto gap = rule_.gap_for(values, minimum);
    if (gap && *gap == rule_.plain()) return walk(values, *gap, [&](std::size_t i) { reasons[slots[i]] = Reason::kKept; });
    plain_.assign(values.size(), false);
    walk(values, rule_.plain(), [&](std::size_t i) { plain_[i] = true; });
    const auto keep = [&](std::size_t i) { reasons[slots[i]] = plain_[i] ? Reason::kKept : Reason::kKeptByFloor; };
    if (gap) {
      walk(values, *gap, keep);
    } else {
      for (const std::size_t i : largest_gaps(values, slots, minimum)) keep(i);
    }
  }

 private:
  static void write(std::span<const std::uint32_t> slots, std::span<Reason> reasons, Reason reason) {
    for (const std::uint32_t slot : slots) reasons[slot] = reason;
  }

  GapRule rule_;
  Floor floor_;
  std::vector<char> plain_;  // [samples of the identity]: kept by the threshold itself
};

/// Up to kLanes thresholds in one pass.
void count_lanes(const SortedIdentities& sorted, const DiffProbOptions& options, std::span<const double> thresholds,
                 std::span<std::int64_t> totals) {
  std::array<double, kLanes> plain;
  plain.fill(thresholds.front());
  std::copy(thresholds.begin(), thresholds.end(), plain.begin());
  std::vector<GapRule> rules;
  for (const double threshold : thresholds) rules.emplace_back(options, threshold);
  std::array<std::int64_t, kLanes> kept{};
  for (std::int64_t c = 0; c < sorted.identities(); ++c) {
    const Values values = sorted.values(c);
    const auto n = static_cast<std::int64_t>(values.size());
    const std::int64_t minimum = options.floor.of(n);
    if (n <= minimum) {
      for (std::int64_t& total : totals) total += n;
      continue;
    }
    if (thresholds.size() == 1) {
      kept[0] = count_walk(values, plain[0]);
    } else {
      count_walks(values, plain, kept);
    }
    for (std::size_t lane = 0; lane < thresholds.size(); ++lane) totals[lane] += rules[lane].count(values, minimum, kept[lane]);
  }
}

}  // namespace

void check(const DiffProbOptions& options) {
  if (!(options.threshold > 0) || !std::isfinite(options.threshold)) {
    throw PruneError("diffprob: threshold is " + std::to_string(options.threshold) + ", expected a finite number above 0");
  }
  check(options.floor);
}

void select_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options, std::span<Reason> reasons) {
  check(options);
  IdentitySelector selector(options);
  for (std::int64_t c = 0; c < sorted.identities(); ++c) selector.select(sorted.values(c), sorted.slots(c), reasons);
}

std::vector<std::int64_t> count_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options,
                                         std::span<const double> thresholds) {
  std::vector<std::int64_t> totals(thresholds.size(), 0);
  for (const double threshold : thresholds) check(DiffProbOptions{threshold, options.floor, options.preset});
  for (std::size_t at = 0; at < thresholds.size(); at += kLanes) {
    const std::size_t lanes = std::min(kLanes, thresholds.size() - at);
    count_lanes(sorted, options, thresholds.subspan(at, lanes), std::span(totals).subspan(at, lanes));
  }
  return totals;
}

}  // namespace diffprob::prune
