#pragma once

#include <cstdint>
#include <span>

#include "prune/selection.h"

namespace diffprob::prune {

enum class Preset {
  kDefault,    ///< differences in float64 from -log p; saturated identities keep the M samples with the largest gaps
  kReference,  ///< bit for bit the paper's code: float32 p widened to float64, threshold lowered below 0 if need be
};

struct DiffProbOptions {
  double threshold = 3e-5;    ///< t > 0
  std::int64_t min_kept = 5;  ///< M: identities at or below keep all that are usable
  Preset preset = Preset::kDefault;
};

/// DiffProb (Caldeira et al., FG 2025), section "selection" of the method, for identities [first, last) of `groups`:
/// walk down the identity's samples by falling probability, keep one when it lies more than (1 + d) t below the last one kept; d falls
/// from 0 in steps of 0.01 until M are kept. Order: probability descending, index ascending (kReference: ties by index descending, that is
/// a stable ascending sort read from its end).
/// `nll` and `probability`: [N]; kDefault reads nll, kReference reads probability.
/// `reasons` [N], in and out: samples already dropped (cleaned) are not usable and stay as they are; the others of these identities
/// get kKept, kKeptByFloor or kRedundant. Throws PruneError on NaN, probabilities out of [0, 1] or threshold <= 0. Pure: no I/O, no MPI.
void select_diffprob(std::span<const float> nll, std::span<const float> probability, const IdentityGroups& groups, IdentityRange range,
                     const DiffProbOptions& options, std::span<Reason> reasons);

}  // namespace diffprob::prune
