#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prune/selection.h"
#include "prune/sorted_identities.h"

namespace diffprob::prune {

struct DiffProbOptions {
  double threshold = 3e-5;  ///< t > 0
  Floor floor;              ///< M: identities at or below keep all that are usable
  Preset preset = Preset::kDefault;
};
/// Throws PruneError unless the threshold is positive and finite and the floor is sane.
void check(const DiffProbOptions& options);

/// DiffProb (Caldeira et al., FG 2025): walk down the identity's samples by falling score, keep one when it lies more than (1 + d) t below
/// the last one kept; d falls from 0 in steps of 0.01 until M are kept. `reasons` [slots]: kKept, kKeptByFloor or kRedundant. For
/// Preset::kReference, `sorted` must hold equal values with Ties::kLast.
void select_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options, std::span<Reason> reasons);

/// How many samples select_diffprob would keep with each of these thresholds (options.threshold is not used), in one pass over the samples.
[[nodiscard]] std::vector<std::int64_t> count_diffprob(const SortedIdentities& sorted, const DiffProbOptions& options,
                                                       std::span<const double> thresholds);

}  // namespace diffprob::prune
