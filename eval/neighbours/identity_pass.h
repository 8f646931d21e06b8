#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "eval/neighbours/embedded_set.h"
#include "eval/neighbours/identity_rows.h"
#include "eval/neighbours/pairs.h"
#include "eval/neighbours/rounds.h"
#include "eval/neighbours/unit_rows.h"

namespace diffprob::eval {

/// A row that is unlike the others of its identity.
struct Stray {
  std::int64_t row = 0;
  std::int64_t identity = 0;
};

/// What the first pass over a set finds.
struct IdentityPassOptions {
  std::optional<double> near;   ///< least cosine of pairs inside an identity; none: not compared
  std::optional<double> stray;  ///< rows with a lower cosine to the others are strays
  int threads = 1;
};

/// A rank's share of a set after the first pass.
struct IdentityShare {
  std::int64_t first = 0;  ///< identity of centres row 0
  /// [own identities, stride]: the mean of the unit rows, of length 1; zeros for an identity
  /// without rows, or whose rows cancel out.
  UnitRows centres;
  std::vector<NeighbourPair> pairs;  ///< rows a < b of one identity, in no order
  std::vector<Stray> strays;         ///< ascending by place
  std::int64_t zero_rows = 0;
};

/// Reads each row of this rank's identities once (those of an identity of more than 8,192 rows
/// several times): makes the centres, compares the rows of each identity with each other, and lists
/// those that are unlike the rest. A centre is summed in float64 in the order of the rows, so that
/// it has the same bits for any number of ranks. Holds 8,192 rows at a time, 16,384 of a larger
/// identity. `shares`: of shares_of_ranks(). Collective. Throws data::DataError on all ranks.
[[nodiscard]] IdentityShare pass_over_identities(const EmbeddedSet& set, const IdentityRows& rows,
                                                 const std::vector<std::int64_t>& shares,
                                                 const IdentityPassOptions& options,
                                                 const NeighbourProgress& progress,
                                                 dist::HostCollectives& control);

}  // namespace diffprob::eval
