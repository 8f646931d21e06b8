#pragma once

#include <cstdint>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "eval/neighbours/pairs.h"
#include "eval/neighbours/rounds.h"
#include "eval/neighbours/unit_rows.h"

namespace diffprob::eval {

/// Centres of all identities of a set, each on one rank: rank r has those of identities
/// [shares[r], shares[r + 1]).
struct SharedCentres {
  const UnitRows& own;
  const std::vector<std::int64_t>& shares;
};

/// How centres are searched.
struct CentreSearch {
  double least = 0;  ///< cosine
  int threads = 1;
  const NeighbourProgress& progress;
};

/// Pairs of different identities of one set, a < b. Centres pass all ranks tile by tile, 8,192 at a
/// time; of each pair of ranks both compare a half. Each pair is found by one rank; which one
/// depends on the number of ranks. Collective. Throws data::DataError on all ranks.
[[nodiscard]] std::vector<IdentityPair> near_centres(const SharedCentres& centres,
                                                     const CentreSearch& search,
                                                     dist::HostCollectives& control);

/// Pairs of a row a of `queries`, which are this rank's, and an identity b. The same number of
/// queries on every rank is not needed. Collective. Throws data::DataError on all ranks.
[[nodiscard]] std::vector<IdentityPair> near_to_centres(const UnitRows& queries,
                                                        const SharedCentres& centres,
                                                        const CentreSearch& search,
                                                        dist::HostCollectives& control);

}  // namespace diffprob::eval
