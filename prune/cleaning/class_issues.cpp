#include "prune/cleaning/class_issues.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

namespace diffprob::prune {
namespace {

/// Samples of a class by the class that they are confidently of.
using Row = std::map<std::int32_t, double>;

/// Whole numbers with the sum of the row, which is `total`: what rounding lost or won is taken from
/// the entries that it changed most; equal ones: the last gains first, the first loses first.
void round_preserving_sum(Row& row, std::int64_t total) {
  struct Change {
    double* value;
    double lost;
  };
  std::vector<Change> changes;
  auto missing = total;
  for (auto& [c, value] : row) {
    const double rounded = std::nearbyint(value);  // a half to even
    changes.push_back({&value, value - rounded});
    missing -= static_cast<std::int64_t>(rounded);
    value = rounded;
  }
  std::stable_sort(changes.begin(), changes.end(),
                   [](const Change& a, const Change& b) { return a.lost < b.lost; });
  if (missing > 0) std::reverse(changes.begin(), changes.end());
  const auto count =
      std::min<std::size_t>(changes.size(), static_cast<std::size_t>(std::abs(missing)));
  for (std::size_t i = 0; i < count; ++i) *changes[i].value += missing > 0 ? 1 : -1;
}

/// The diagonal is at least 1; what it gains, the others lose in equal parts, rounded down.
void keep_one(Row& row, std::int32_t label) {
  const double gained = std::max(row[label], 1.0) - row[label];
  const auto occupied =
      std::count_if(row.begin(), row.end(), [](const auto& entry) { return entry.second != 0; });
  const double lost = gained / std::max(static_cast<double>(occupied) - 1, 1.0);
  for (auto& [c, value] : row)
    value = c == label ? std::max(value, 1.0) : std::trunc(std::max(value - lost, 0.0));
}

Row calibrated_row(std::int32_t label, std::span<const ClassSample> samples) {
  Row row;
  for (const ClassSample& sample : samples)
    if (sample.guess >= 0) row[sample.guess] += 1;
  row[label] = std::max(row[label], 1.0);
  const double sum = std::accumulate(
      row.begin(), row.end(), 0.0, [](double so_far, const auto& e) { return so_far + e.second; });
  const auto size = static_cast<double>(samples.size());
  for (auto& [c, value] : row) value = value / sum * size;
  round_preserving_sum(row, static_cast<std::int64_t>(samples.size()));
  keep_one(row, label);
  return row;
}

/// Marks the `count` samples of `candidates` with the smallest key.
template <class KeyOf>
void mark_smallest(std::vector<std::size_t> candidates, std::int64_t count, const KeyOf& key,
                   std::vector<bool>& marked) {
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  candidates.resize(
      std::min(candidates.size(), static_cast<std::size_t>(std::max<std::int64_t>(count, 0))));
  for (const std::size_t i : candidates) marked[i] = true;
}

std::vector<bool> by_class(std::int32_t label, std::span<const ClassSample> samples, Row& row) {
  std::vector<bool> marked(samples.size(), false);
  std::vector<std::size_t> all(samples.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  mark_smallest(
      std::move(all),
      static_cast<std::int64_t>(samples.size()) - static_cast<std::int64_t>(row[label]),
      [&](std::size_t i) { return samples[i].own_log_prob; }, marked);
  return marked;
}

std::vector<bool> by_noise_rate_top1(std::int32_t label, std::span<const ClassSample> samples,
                                     const Row& row) {
  std::vector<bool> marked(samples.size(), false);
  std::map<std::int32_t, std::vector<std::size_t>> of_top1;
  for (std::size_t i = 0; i < samples.size(); ++i) of_top1[samples[i].top1].push_back(i);
  for (const auto& [c, count] : row) {
    const auto found = of_top1.find(c);
    if (c == label || found == of_top1.end()) continue;
    mark_smallest(
        found->second, static_cast<std::int64_t>(count),
        [&](std::size_t i) {
          return std::exp(static_cast<double>(samples[i].own_log_prob)) -
                 std::exp(static_cast<double>(samples[i].top1_log_prob));
        },
        marked);
  }
  return marked;
}

}  // namespace

void mark_class_issues(std::int32_t label, std::span<const ClassSample> samples, CleanRule rule,
                       std::span<Reason> reasons) {
  if (samples.size() <= 1) return;  // one sample is left to every class
  Row row = calibrated_row(label, samples);
  std::vector<bool> marked = rule == CleanRule::kPruneByNoiseRateTop1
                                 ? by_noise_rate_top1(label, samples, row)
                                 : by_class(label, samples, row);
  if (rule == CleanRule::kBothTop1) {
    const std::vector<bool> too = by_noise_rate_top1(label, samples, row);
    for (std::size_t i = 0; i < marked.size(); ++i) marked[i] = marked[i] && too[i];
  }
  for (std::size_t i = 0; i < marked.size(); ++i)
    if (marked[i]) reasons[i] = Reason::kMislabelled;
}

}  // namespace diffprob::prune
