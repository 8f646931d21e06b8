#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// Coverage-centric coreset selection (Zheng et al., ICLR 2023).
struct CcsOptions {
  enum class Score { kAum, kEl2n } score = Score::kAum;
  double beta = 0.1;  ///< share of the usable samples, the hardest ones, that is dropped first
  std::int64_t strata = 50;  ///< equal parts of the range of scores that is left
  Floor floor;               ///< an identity: applied after the selection over the whole data set
  std::uint64_t seed = 1;
};
void check(const CcsOptions& options);

/// Samples drawn from each stratum: strata by rising size, each the smaller of its size and an
/// equal share of what is left of `budget`.
[[nodiscard]] std::vector<std::int64_t> ccs_budgets(std::span<const std::int64_t> sizes,
                                                    std::int64_t budget);

/// Over the whole data set: drops the int(usable * beta) hardest (ties: the last in the order of
/// identity, then index), splits the range of the hardness that is left into strata, draws `budget`
/// samples as ccs_budgets says (fewer when fewer are left), and then fills identities below the
/// floor: first with samples that were not dropped as too hard. Draws depend on (seed, identity,
/// place in the identity) alone. `hardness`: [slots], finite, of this rank's identities; ranks hold
/// identities in rank order. Collective; the same samples for any number of ranks.
void select_ccs(const IdentitySlots& identities, std::span<const double> hardness,
                std::int64_t budget, const CcsOptions& options, dist::HostCollectives& collectives,
                std::span<Reason> reasons);

}  // namespace diffprob::prune
