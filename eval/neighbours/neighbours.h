#pragma once

#include <cstdint>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "eval/neighbours/embedded_set.h"
#include "eval/neighbours/options.h"
#include "eval/neighbours/pairs.h"

namespace diffprob::eval {

/// What was found, on rank 0; the counts on every rank.
struct Neighbours {
  std::vector<NeighbourPair> pairs;      ///< sorted by a, then b; each pair once
  std::vector<IdentityPair> identities;  ///< likewise: centres that are near each other
  std::int64_t strays = 0;
  std::int64_t zero_rows = 0;  ///< embeddings of length 0, which are near nothing
};

/// Finds the pairs of images of one set, a < b, whose embeddings are near each other: all pairs
/// inside an identity, and across identities those in which the centres are near each other or one
/// image is a stray that is near the other's centre. Identities are shared out over the ranks; the
/// result has the same bytes for any number of ranks and threads. Memory per rank: its centres (4
/// bytes a number), 8,192 centres of all ranks, up to 32,768 strays, four blocks of 8,192 rows, and
/// 8 bytes per identity (4 more per sample of a set that is not in the order of its identities).
/// Collective. Throws data::DataError on all ranks.
[[nodiscard]] Neighbours find_neighbours(const EmbeddedSet& set, const NeighbourOptions& options,
                                         dist::HostCollectives& control);

/// Finds the pairs of an image of `a` and an image of `b` likewise, and the pairs of their
/// identities; nothing inside a set. Images of a test set without labels have one identity each:
/// their centres are the images themselves. Both have embeddings of one network.
[[nodiscard]] Neighbours find_neighbours_between(const EmbeddedSet& a, const EmbeddedSet& b,
                                                 const NeighbourOptions& options,
                                                 dist::HostCollectives& control);

/// Finds the pairs of identities of two sets by their centres only; `pairs` stays empty.
[[nodiscard]] Neighbours find_shared_identities(const EmbeddedSet& a, const EmbeddedSet& b,
                                                const NeighbourOptions& options,
                                                dist::HostCollectives& control);

}  // namespace diffprob::eval
