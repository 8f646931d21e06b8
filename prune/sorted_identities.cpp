#include "prune/sorted_identities.h"

#include <cmath>
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
  explicit GapRule(const DiffProbOptions& options) : options_(options) {
    for (const double factor : relaxations()) {
      const double gap = factor * options.threshold;
      if (options.preset == Preset::kDefault && !(gap > 0)) break;
      gaps_.push_back(gap);
    }
  }

  [[nodiscard]] double threshold() const { return options_.threshold; }
  [[nodiscard]] std::int64_t min_kept() const { return options_.min_kept; }

  /// How many of an identity are kept.
  [[nodiscard]] std::int64_t count(Values values) const {
    if (static_cast<std::int64_t>(values.size()) <= options_.min_kept) return static_cast<std::int64_t>(values.size());
    if (options_.min_kept > 1) {  // the usual case in one walk: the threshold itself keeps enough
      const std::int64_t plain = count_walk(values, gaps_.front());
      if (plain >= options_.min_kept) return plain;
    }
    const auto gap = gap_for(values);
    return gap ? count_walk(values, *gap) : options_.min_kept;
  }

  /// The largest gap of the sequence that keeps min_kept of an identity with more samples than that; none: no gap does (kDefault alone).
  /// The kept count never falls as the gap falls, so bisection gives what trying one after the other gives.
  [[nodiscard]] std::optional<double> gap_for(Values values) const {
    if (options_.preset == Preset::kReference && options_.min_kept == 1) {
      return std::numeric_limits<double>::infinity();  // the reference makes no walk then
    }
    if (reaches(values, gaps_.front(), options_.min_kept)) return gaps_.front();
    if (!reaches(values, gaps_.back(), options_.min_kept)) return std::nullopt;
    return *std::partition_point(gaps_.begin() + 1, gaps_.end() - 1, [&](double gap) { return !reaches(values, gap, options_.min_kept); });
  }

 private:
  DiffProbOptions options_;
  std::vector<double> gaps_;
};

/// Positions of the `wanted` samples with the largest gap to the sample before them; the first sample's gap counts as infinite.
/// Equal gaps: the smaller sample index.
std::vector<std::size_t> largest_gaps(Values values, std::span<const std::uint32_t> samples, std::int64_t wanted) {
  std::vector<std::size_t> positions(values.size());
  std::iota(positions.begin(), positions.end(), std::size_t{0});
  const auto before = [&](std::size_t a, std::size_t b) {
    const double gap_a = values[a - 1] - values[a];
    const double gap_b = values[b - 1] - values[b];
    return gap_a != gap_b ? gap_a > gap_b : samples[a] < samples[b];
  };
  if (wanted > 1) std::nth_element(positions.begin() + 1, positions.begin() + wanted - 1, positions.end(), before);
  positions.resize(static_cast<std::size_t>(wanted));
  return positions;
}

/// Selection of one identity; the two buffers are reused from identity to identity.
class IdentitySelector {
 public:
  explicit IdentitySelector(const DiffProbOptions& options) : rule_(options) {}

  void select(Values values, std::span<const std::uint32_t> samples, std::span<Reason> reasons) {
    if (static_cast<std::int64_t>(values.size()) <= rule_.min_kept()) return write(samples, reasons, Reason::kKept);
    write(samples, reasons, Reason::kRedundant);
    plain_.assign(values.size(), false);
    walk(values, rule_.threshold(), [&](std::size_t i) { plain_[i] = true; });
    const auto keep = [&](std::size_t i) { reasons[samples[i]] = plain_[i] ? Reason::kKept : Reason::kKeptByFloor; };
    if (const auto gap = rule_.gap_for(values)) {
      walk(values, *gap, keep);
    } else {
      for (const std::size_t i : largest_gaps(values, samples, rule_.min_kept())) keep(i);
    }
  }

 private:
  static void write(std::span<const std::uint32_t> samples, std::span<Reason> reasons, Reason reason) {
    for (const std::uint32_t sample : samples) reasons[sample] = reason;
  }

  GapRule rule_;
  std::vector<char> plain_;  // [samples of the identity]: kept by the threshold itself
};

}  // namespace

void SortedIdentities::append_sorted(std::vector<Entry>& identity, Preset preset) {
  std::sort(identity.begin(), identity.end(), [preset](const Entry& a, const Entry& b) {
    if (a.value != b.value) return a.value > b.value;
    return preset == Preset::kReference ? a.sample > b.sample : a.sample < b.sample;
  });
  for (const Entry& entry : identity) {
    values_.push_back(entry.value);
    samples_.push_back(entry.sample);
  }
  begin_.push_back(values_.size());
}

std::int64_t SortedIdentities::count_kept(const DiffProbOptions& options) const {
  check(options);
  const GapRule rule(options);
  std::int64_t kept = 0;
  for (std::size_t c = 0; c + 1 < begin_.size(); ++c) {
    kept += rule.count(Values(values_.data() + begin_[c], values_.data() + begin_[c + 1]));
  }
  return kept;
}

void SortedIdentities::select(const DiffProbOptions& options, std::span<Reason> reasons) const {
  check(options);
  IdentitySelector selector(options);
  for (std::size_t c = 0; c + 1 < begin_.size(); ++c) {
    const std::size_t first = begin_[c];
    const std::size_t count = begin_[c + 1] - first;
    selector.select(Values(values_).subspan(first, count), std::span(samples_).subspan(first, count), reasons);
  }
}

double score_from_nll(float nll, std::uint32_t sample) {
  if (!(nll >= 0)) throw PruneError("sample " + std::to_string(sample) + ": -log p is " + std::to_string(nll) + ", expected at least 0");
  return std::expm1(-static_cast<double>(nll));
}

double score_from_probability(float probability, std::uint32_t sample) {
  if (!(probability >= 0 && probability <= 1)) {
    throw PruneError("sample " + std::to_string(sample) + ": probability is " + std::to_string(probability) + ", expected 0 to 1");
  }
  return static_cast<double>(probability);
}

void check(const DiffProbOptions& options) {
  if (!(options.threshold > 0) || !std::isfinite(options.threshold)) {
    throw PruneError("diffprob: threshold is " + std::to_string(options.threshold) + ", expected a finite number above 0");
  }
  if (options.min_kept < 1) throw PruneError("diffprob: min_kept is " + std::to_string(options.min_kept) + ", expected at least 1");
}

}  // namespace diffprob::prune
