#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "prune/select/selection.h"
#include "prune/select/sorted_identities.h"

namespace diffprob::prune {

struct DiffProbOptions {
  double threshold = 3e-5;  ///< t > 0
  Floor floor;              ///< M: identities at or below keep all that are usable
  Preset preset = Preset::kDefault;
};
/// Throws PruneError unless the threshold is positive and finite and the floor is sane.
void check(const DiffProbOptions& options);

/// DiffProb (Caldeira et al., FG 2025): walk down the identity's samples by falling score, keep one
/// when it lies more than (1 + d) t below the last one kept; d falls from 0 in steps of 0.01 until
/// M are kept. `reasons` [slots]: kKept, kKeptByFloor or kRedundant. For Preset::kReference,
/// `sorted` must hold equal values with Ties::kLast.
void select_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options,
                     std::span<Reason> reasons);

/// Counts what select_diffprob would keep, for many thresholds. Gaps at which the count of an
/// identity changes its rule are found once, so most identities are counted without looking at
/// their samples; between two thresholds that were counted before, only identities of which the
/// count can differ are looked at. About 40 bytes an identity. `sorted` must outlive it.
class ThresholdCounter {
 public:
  /// options.threshold is not used.
  ThresholdCounter(const SortedIdentities& sorted, const DiffProbOptions& options);
  /// Samples kept with each of these thresholds, in one pass over the identities. Throws PruneError
  /// on a bad threshold. What it returns does not depend on earlier calls.
  [[nodiscard]] std::vector<std::int64_t> count(std::span<const double> thresholds);

 private:
  /// Gaps of an identity with more samples than its floor M. A walk keeps, with a gap below ...
  struct Limits {
    double all;             ///< ... this: every distinct value
    double enough;          ///< ... this: at least M samples; otherwise fewer
    double more;            ///< ... this: more than M samples; otherwise at most M
    std::int64_t distinct;  ///< number of distinct values
  };
  /// Thresholds from low to high: the identities of which the count can differ, and what all others
  /// keep together.
  struct Bracket {
    double low = 0;
    double high = std::numeric_limits<double>::infinity();
    std::vector<std::uint32_t> open;
    std::int64_t settled = 0;
  };
  class Pass;
  [[nodiscard]] Limits limits_of(std::span<const double> values, std::int64_t minimum) const;
  [[nodiscard]] std::optional<std::pair<double, double>> known_around(double low,
                                                                      double high) const;

  const SortedIdentities& sorted_;
  DiffProbOptions options_;
  std::vector<Limits> limits_;  // [identities]; unused where the floor keeps all
  std::set<double> known_;      // thresholds counted before
  Bracket all_;                 // every identity
  Bracket narrow_;              // the last one
};

}  // namespace diffprob::prune
