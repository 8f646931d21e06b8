#include "prune/select/diffprob.h"

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

/// 1 + d for d = 0, -0.01, ...: d by repeated subtraction in float64, as the reference accumulates
/// it. At the end 1 + d <= -1, so that (1 + d) t is below 0 for every positive t, subnormal ones
/// too, and the walk keeps everything.
const std::vector<double>& relaxations() {
  static const std::vector<double> table = [] {
    std::vector<double> factors;
    for (double d = 0.0; factors.empty() || factors.back() > -1.0; d = d - 0.01)
      factors.push_back(1 + d);
    return factors;
  }();
  return table;
}

/// One walk: calls keep(position) for each sample kept when the next one must lie more than `gap`
/// below the last one kept.
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

/// How many samples walk() keeps. Without a branch on the scores, because which are kept cannot be
/// predicted: half the time on spread scores.
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

/// The same for some gaps at once: the walks do not wait for each other.
template <std::size_t kLanes>
void count_walks(Values values, const double* gaps, std::int64_t* kept) {
  std::array<double, kLanes> gap;
  std::array<double, kLanes> last;
  std::array<std::int64_t, kLanes> count;
  std::copy(gaps, gaps + kLanes, gap.begin());
  last.fill(values[0]);
  count.fill(1);
  for (const double value : values.subspan(1)) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const bool keep = last[lane] - value > gap[lane];
      last[lane] = keep ? value : last[lane];
      count[lane] += keep ? 1 : 0;
    }
  }
  std::copy(count.begin(), count.end(), kept);
}

void count_walks(Values values, std::span<const double> gaps, std::span<std::int64_t> kept) {
  std::size_t at = 0;
  for (; at + 4 <= gaps.size(); at += 4) count_walks<4>(values, gaps.data() + at, kept.data() + at);
  for (; at + 2 <= gaps.size(); at += 2) count_walks<2>(values, gaps.data() + at, kept.data() + at);
  if (at < gaps.size()) kept[at] = count_walk(values, gaps[at]);
}

/// Smallest gap between the first `wanted` samples (at least 2) that a walk with this gap keeps;
/// none when it keeps fewer.
std::optional<double> smallest_gap_of_walk(Values values, double gap, std::int64_t wanted) {
  double last = values[0];
  double smallest = std::numeric_limits<double>::infinity();
  std::int64_t kept = 1;
  for (std::size_t i = 1; i < values.size() && kept < wanted; ++i) {
    if (last - values[i] > gap) {
      smallest = std::min(smallest, last - values[i]);
      last = values[i];
      ++kept;
    }
  }
  return kept >= wanted ? std::optional(smallest) : std::nullopt;
}

/// The gap below which a walk keeps `wanted` samples, and at which it does not; known not to exceed
/// `at_most`. A walk that does shows a larger gap that nearly does: its own smallest one. Some
/// halvings first, then climbing until a walk fails: exact.
double critical_gap(Values values, std::int64_t wanted, double at_most) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (wanted <= 1) return kInfinity;
  if (static_cast<std::int64_t>(values.size()) < wanted) return -kInfinity;
  double low = *smallest_gap_of_walk(values, -1, wanted);  // keeps everything: no gap is negative
  double high =
      std::min(at_most, (values.front() - values.back()) / static_cast<double>(wanted - 1));
  for (int halving = 0; halving < 4 && low < high; ++halving) {
    const double middle = low + (high - low) / 2;
    if (const auto found = smallest_gap_of_walk(values, middle, wanted)) {
      low = *found;
    } else {
      high = middle;
    }
  }
  while (const auto found = smallest_gap_of_walk(values, low, wanted)) low = *found;
  return low;
}

/// Whether walk() keeps at least `wanted`; stops as soon as it does, which pays in the bisection:
/// there `wanted` is small.
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

  /// The largest gap of the sequence below `limit`; none: there is none (kDefault alone).
  [[nodiscard]] std::optional<double> below(double limit) const {
    const auto found = std::partition_point(gaps_.begin(), gaps_.end(),
                                            [limit](double gap) { return !(gap < limit); });
    return found == gaps_.end() ? std::nullopt : std::optional(*found);
  }

  /// The largest gap of the sequence that keeps `minimum` of an identity with more samples than
  /// that; none: no gap does (kDefault alone).
  [[nodiscard]] std::optional<double> gap_for(Values values, std::int64_t minimum) const {
    if (preset_ == Preset::kReference && minimum == 1)
      return std::numeric_limits<double>::infinity();  // the reference makes no walk then
    if (reaches(values, gaps_.front(), minimum)) return gaps_.front();
    return lowered(values, minimum);
  }

 private:
  /// The same when the first gap is known not to do. The kept count never falls as the gap falls,
  /// so bisection gives what trying one after the other gives.
  [[nodiscard]] std::optional<double> lowered(Values values, std::int64_t minimum) const {
    if (!reaches(values, gaps_.back(), minimum)) return std::nullopt;
    return *std::partition_point(gaps_.begin() + 1, gaps_.end() - 1,
                                 [&](double gap) { return !reaches(values, gap, minimum); });
  }

  Preset preset_;
  std::vector<double> gaps_;
};

/// Positions of the `wanted` samples with the largest gap to the sample before them; the first
/// sample's gap counts as infinite. Equal gaps: the smaller slot.
std::vector<std::size_t> largest_gaps(Values values, std::span<const std::uint32_t> slots,
                                      std::int64_t wanted) {
  std::vector<std::size_t> positions(values.size());
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  const auto before = [&](std::size_t a, std::size_t b) {
    const double gap_a = values[a - 1] - values[a];
    const double gap_b = values[b - 1] - values[b];
    return gap_a != gap_b ? gap_a > gap_b : slots[a] < slots[b];
  };
  if (wanted > 1)
    std::nth_element(positions.begin() + 1, positions.begin() + wanted - 1, positions.end(),
                     before);
  positions.resize(static_cast<std::size_t>(wanted));
  return positions;
}

/// Selection of one identity; the buffer is reused from identity to identity.
class IdentitySelector {
 public:
  explicit IdentitySelector(const DiffProbOptions& options)
      : rule_(options, options.threshold), floor_(options.floor) {}

  void select(Values values, std::span<const std::uint32_t> slots, std::span<Reason> reasons) {
    const std::int64_t minimum = floor_.of(static_cast<std::int64_t>(values.size()));
    if (static_cast<std::int64_t>(values.size()) <= minimum)
      return write(slots, reasons, Reason::kKept);
    write(slots, reasons, Reason::kRedundant);
    const auto gap = rule_.gap_for(values, minimum);
    if (gap && *gap == rule_.plain())
      return walk(values, *gap, [&](std::size_t i) { reasons[slots[i]] = Reason::kKept; });
    plain_.assign(values.size(), false);
    walk(values, rule_.plain(), [&](std::size_t i) { plain_[i] = true; });
    const auto keep = [&](std::size_t i) {
      reasons[slots[i]] = plain_[i] ? Reason::kKept : Reason::kKeptByFloor;
    };
    if (gap) {
      walk(values, *gap, keep);
    } else {
      for (const std::size_t i : largest_gaps(values, slots, minimum)) keep(i);
    }
  }

 private:
  static void write(std::span<const std::uint32_t> slots, std::span<Reason> reasons,
                    Reason reason) {
    for (const std::uint32_t slot : slots) reasons[slot] = reason;
  }

  GapRule rule_;
  Floor floor_;
  std::vector<char> plain_;  // [samples of the identity]: kept by the threshold itself
};

}  // namespace

void check(const DiffProbOptions& options) {
  if (!(options.threshold > 0) || !std::isfinite(options.threshold)) {
    throw PruneError("diffprob: threshold is " + std::to_string(options.threshold) +
                     ", expected a finite number above 0");
  }
  check(options.floor);
}

void select_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options,
                     std::span<Reason> reasons) {
  check(options);
  IdentitySelector selector(options);
  for (std::int64_t c = 0; c < sorted.identities(); ++c)
    selector.select(sorted.values(c), sorted.slots(c), reasons);
}

ThresholdCounter::ThresholdCounter(const SortedIdentities& sorted, const DiffProbOptions& options)
    : sorted_(sorted), options_(options) {
  check(options.floor);
  limits_.resize(static_cast<std::size_t>(sorted.identities()));
  for (std::int64_t c = 0; c < sorted.identities(); ++c) {
    const Values values = sorted.values(c);
    const auto n = static_cast<std::int64_t>(values.size());
    const std::int64_t minimum = options.floor.of(n);
    if (n > minimum) limits_[static_cast<std::size_t>(c)] = limits_of(values, minimum);
  }
  all_.open.resize(limits_.size());
  std::iota(all_.open.begin(), all_.open.end(), std::uint32_t{0});
  narrow_ = all_;
}

ThresholdCounter::Limits ThresholdCounter::limits_of(Values values, std::int64_t minimum) const {
  Limits limits{std::numeric_limits<double>::infinity(), 0, 0, 1};
  limits.enough = critical_gap(values, minimum, std::numeric_limits<double>::infinity());
  limits.more = critical_gap(values, minimum + 1, limits.enough);
  for (std::size_t i = 1; i < values.size(); ++i) {
    const double gap = values[i - 1] - values[i];
    if (!(gap > 0)) continue;
    limits.all = std::min(limits.all, gap);
    ++limits.distinct;
  }
  return limits;
}

/// One pass over identities for some rising thresholds.
class ThresholdCounter::Pass {
 public:
  std::vector<std::int64_t> totals;  ///< [thresholds]

  Pass(const ThresholdCounter& counter, std::span<const double> rising)
      : totals(rising.size(), 0), counter_(counter), rising_(rising), kept_(rising.size()) {
    for (const double threshold : rising) rules_.emplace_back(counter.options_, threshold);
  }

  /// Adds to the totals; or, when every threshold between the first and the last keeps as many,
  /// returns that number and adds nothing.
  std::optional<std::int64_t> add(std::int64_t c) {
    const Values values = counter_.sorted_.values(c);
    const auto n = static_cast<std::int64_t>(values.size());
    const std::int64_t minimum = counter_.options_.floor.of(n);
    if (n <= minimum) return n;
    if (counter_.options_.preset == Preset::kReference && minimum == 1) return 1;
    const Limits& limits = counter_.limits_[static_cast<std::size_t>(c)];
    if (rising_.back() < limits.enough) return add_plain(values, limits);
    if (rising_.front() >= limits.enough && keeps_the_minimum(limits, rising_.back()))
      return minimum;
    const std::size_t lowered = first_not_below(limits.enough);
    count_plain(values, limits, lowered);
    for (std::size_t k = lowered; k < totals.size(); ++k)
      totals[k] += count_lowered(values, limits, k, minimum);
    return std::nullopt;
  }

 private:
  [[nodiscard]] std::size_t first_not_below(double limit) const {
    return static_cast<std::size_t>(std::lower_bound(rising_.begin(), rising_.end(), limit) -
                                    rising_.begin());
  }

  /// Whether every lowered gap tried with thresholds up to this one keeps M and no more: gaps
  /// follow each other in steps of 0.01 t, so the first one below `enough` is not far below it.
  [[nodiscard]] bool keeps_the_minimum(const Limits& limits, double threshold) const {
    if (counter_.options_.preset == Preset::kDefault && limits.enough <= 0)
      return true;  // no gap does: largest gaps
    return limits.enough - 0.0101 * threshold > limits.more;
  }

  [[nodiscard]] std::int64_t count_lowered(Values values, const Limits& limits, std::size_t k,
                                           std::int64_t minimum) const {
    if (keeps_the_minimum(limits, rising_[k])) return minimum;
    const auto gap = rules_[k].below(limits.enough);
    return !gap || *gap >= limits.more ? minimum : count_walk(values, *gap);
  }

  /// Every threshold keeps enough: the walk itself counts, and never rises with the threshold.
  std::optional<std::int64_t> add_plain(Values values, const Limits& limits) {
    if (rising_.back() < limits.all) return limits.distinct;
    const double ends[2] = {rising_.front(), rising_.back()};
    if (totals.size() > 2 && ends[1] < 4 * ends[0]) {
      std::int64_t kept[2];
      count_walks<2>(values, ends, kept);
      if (kept[0] == kept[1]) return kept[0];
    }
    count_plain(values, limits, totals.size());
    return std::nullopt;
  }

  /// The first `count` thresholds keep enough.
  void count_plain(Values values, const Limits& limits, std::size_t count) {
    const std::size_t walked = std::min(first_not_below(limits.all), count);
    for (std::size_t k = 0; k < walked; ++k) totals[k] += limits.distinct;
    count_walks(values, rising_.subspan(walked, count - walked),
                std::span(kept_).subspan(walked, count - walked));
    for (std::size_t k = walked; k < count; ++k) totals[k] += kept_[k];
  }

  const ThresholdCounter& counter_;
  std::span<const double> rising_;
  std::vector<GapRule> rules_;
  std::vector<std::int64_t> kept_;
};

/// The nearest thresholds counted before, on both sides and not far apart.
std::optional<std::pair<double, double>> ThresholdCounter::known_around(double low,
                                                                        double high) const {
  const auto above = known_.lower_bound(high);
  auto below = known_.upper_bound(low);
  if (above == known_.end() || below == known_.begin()) return std::nullopt;
  --below;
  if (*above > 4 * *below) return std::nullopt;
  return std::pair(*below, *above);
}

std::vector<std::int64_t> ThresholdCounter::count(std::span<const double> thresholds) {
  if (thresholds.empty()) return {};
  for (const double threshold : thresholds)
    check(DiffProbOptions{threshold, options_.floor, options_.preset});
  std::vector<double> rising(thresholds.begin(), thresholds.end());
  const auto [least, most] = std::minmax_element(thresholds.begin(), thresholds.end());
  const auto around = known_around(*least, *most);
  if (around) rising.insert(rising.end(), {around->first, around->second});
  std::sort(rising.begin(), rising.end());
  rising.erase(std::unique(rising.begin(), rising.end()), rising.end());

  const Bracket& from =
      rising.front() >= narrow_.low && rising.back() <= narrow_.high ? narrow_ : all_;
  Bracket next{rising.front(), rising.back(), {}, from.settled};
  Pass pass(*this, rising);
  for (const std::uint32_t c : from.open) {
    if (const auto same = pass.add(c)) {
      next.settled += *same;
    } else {
      next.open.push_back(c);
    }
  }
  known_.insert(rising.begin(), rising.end());
  std::vector<std::int64_t> counts;
  for (const double threshold : thresholds) {
    const auto at = std::lower_bound(rising.begin(), rising.end(), threshold) - rising.begin();
    counts.push_back(pass.totals[static_cast<std::size_t>(at)] + next.settled);
  }
  if (around) narrow_ = std::move(next);
  return counts;
}

}  // namespace diffprob::prune
