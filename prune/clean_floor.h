#pragma once

#include <cstdint>

#include "prune/clean_by_evidence.h"

namespace diffprob::prune {

/// What the floor of cleaning left to identities.
struct FloorKept {
  std::int64_t samples = 0;     ///< over all ranks
  std::int64_t identities = 0;  ///< that have at least one of them
};

/// Gives kMislabelled samples back to identities that cleaning left fewer than `floor` samples, the
/// least suspicious first: the smallest -log p of the label, equal ones by index, unknown ones
/// last. They become kKeptByFloor. An identity with fewer samples gets back all of them. Each
/// identity is decided by the rank that owns it; only dropped samples of such identities travel.
/// Collective; throws PruneError on all ranks together.
FloorKept keep_clean_floor(const SampleRows& file, const CleanedRows& rows, std::int64_t floor,
                           dist::HostCollectives& collectives);

}  // namespace diffprob::prune
