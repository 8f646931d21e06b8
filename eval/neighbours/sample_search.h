#pragma once

#include <cstdint>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "eval/neighbours/embedded_set.h"
#include "eval/neighbours/identity_pass.h"
#include "eval/neighbours/identity_rows.h"
#include "eval/neighbours/pairs.h"
#include "eval/neighbours/rounds.h"

namespace diffprob::eval {

/// A set and its rows by identity.
struct IndexedSet {
  const EmbeddedSet& set;
  const IdentityRows& rows;
};

/// How samples of identities that are near each other are compared.
struct SampleSearch {
  double least = 0;  ///< cosine
  int threads = 1;
  const NeighbourProgress& progress;
};

/// Rows of near identities: for each pair, which is this rank's, every row of identity a of the
/// first set with every row of identity b of the second one, which may be the same set. Pairs have
/// the row of the first set first. Holds 8,192 rows of the first set and as many of the second one
/// at a time. Collective. Throws data::DataError on all ranks.
[[nodiscard]] std::vector<NeighbourPair> pairs_of_identities(const IndexedSet& first,
                                                             const IndexedSet& second,
                                                             std::vector<IdentityPair> near,
                                                             const SampleSearch& search,
                                                             dist::HostCollectives& control);

/// The same for single rows: for each pair, row rows[a] of the first set with every row of identity
/// b of the second one. `unit`: the rows in that order.
[[nodiscard]] std::vector<NeighbourPair> pairs_of_rows(
    const std::vector<Stray>& rows, const UnitRows& unit, const IndexedSet& second,
    std::vector<IdentityPair> near, const SampleSearch& search, dist::HostCollectives& control);

}  // namespace diffprob::eval
