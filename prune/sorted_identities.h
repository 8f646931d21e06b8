#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "prune/diffprob.h"
#include "prune/selection.h"

namespace diffprob::prune {

/// The usable samples of identities [first, last), sorted by falling score once, so that each threshold tried afterwards is one cheap scan.
/// Equal scores: index ascending (Preset::kDefault) or descending (kReference). 12 bytes a sample.
class SortedIdentities {
 public:
  /// value_of(sample index) -> double: the score, larger is more probable; may throw. Called once for each usable sample, that is each
  /// sample of the range whose reason is a kept one.
  template <class ValueOf>
  SortedIdentities(const IdentityGroups& groups, IdentityRange range, std::span<const Reason> reasons, Preset preset,
                   const ValueOf& value_of);

  /// How many samples select() would keep. O(samples).
  [[nodiscard]] std::int64_t count_kept(const DiffProbOptions& options) const;
  /// Writes kKept, kKeptByFloor or kRedundant for every usable sample; `reasons` is indexed by sample, [N].
  void select(const DiffProbOptions& options, std::span<Reason> reasons) const;
  [[nodiscard]] std::int64_t usable() const { return static_cast<std::int64_t>(values_.size()); }

 private:
  struct Entry {
    double value;
    std::uint32_t sample;
  };
  void append_sorted(std::vector<Entry>& identity, Preset preset);

  std::vector<std::size_t> begin_;      // [identities of the range + 1] into the next two
  std::vector<double> values_;          // [usable], falling inside an identity
  std::vector<std::uint32_t> samples_;  // [usable]
};

/// Score of Preset::kDefault: expm1(-nll) = p - 1, exact to the last bits also where p is 1 in float32. Throws PruneError naming the
/// sample when nll is NaN or negative.
[[nodiscard]] double score_from_nll(float nll, std::uint32_t sample);
/// Score of Preset::kReference: float32 p widened. Throws PruneError when p is NaN or outside [0, 1].
[[nodiscard]] double score_from_probability(float probability, std::uint32_t sample);
/// Throws PruneError unless threshold is positive and finite and min_kept >= 1.
void check(const DiffProbOptions& options);

template <class ValueOf>
SortedIdentities::SortedIdentities(const IdentityGroups& groups, IdentityRange range, std::span<const Reason> reasons, Preset preset,
                                   const ValueOf& value_of) {
  const auto most = static_cast<std::size_t>(groups.begin[range.last] - groups.begin[range.first]);
  begin_.reserve(static_cast<std::size_t>(range.last - range.first) + 1);
  values_.reserve(most);
  samples_.reserve(most);
  begin_.push_back(0);
  std::vector<Entry> identity;
  for (std::int64_t c = range.first; c < range.last; ++c) {
    identity.clear();
    for (const std::uint32_t sample : groups.samples(c)) {
      if (is_kept(reasons[sample])) identity.push_back({value_of(sample), sample});
    }
    append_sorted(identity, preset);
  }
}

}  // namespace diffprob::prune
