#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/methods/step_seconds.h"
#include "prune/prune_options.h"
#include "prune/select/identity_counts.h"
#include "prune/select/selection.h"
#include "prune/select/sorted_identities.h"
#include "prune/select/threshold_search.h"

namespace diffprob::prune {

/// Keys of this rank's slots: one of the vectors is [slots], the other empty, both when the method
/// has no key.
struct SlotKeys {
  std::vector<float> floats;
  std::vector<double> doubles;
  bool are_nll = false;  ///< floats are -log p
};

/// What a method selects from on one rank, and where it puts its decisions.
struct Selecting {
  PruneOptions& options;  ///< a threshold or fraction that a keep_ratio leads to is put there
  const IdentityCounts& counts;
  std::int64_t num_samples;
  std::int64_t usable;  ///< samples of all ranks after cleaning
  IdentitySlots slots;  ///< of the identities that this rank decides
  SlotKeys keys;
  std::span<Reason> decided;  ///< [slots]
  dist::HostCollectives& collectives;
  StepSeconds& seconds;
  std::optional<ThresholdSearch>& search;

  /// Wanted number of samples; at most what cleaning left. Needs a keep_ratio.
  [[nodiscard]] std::int64_t target() const;
  /// Share of an identity's usable samples that leads to keep_ratio, `given` when there is none;
  /// the paper's code takes the ratio itself.
  [[nodiscard]] double fraction(double given, Preset preset, const Floor& floor) const;
  /// Sorts by falling key and frees the keys.
  [[nodiscard]] SortedIdentities sort(Preset preset);
};

}  // namespace diffprob::prune
