#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/row_blocks.h"
#include "prune/select/identity_counts.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// Brings the usable samples of an identity to the rank that owns it, once, and their reasons back,
/// once. Identities are owned in ranges, so that usable samples are even. 12 or 8 bytes a sample
/// travel (label and key), 1 byte travels back.
class IdentityExchange {
 public:
  IdentityExchange(const IdentityCounts& counts, const RowBlocks& blocks,
                   dist::HostCollectives& collectives);

  [[nodiscard]] IdentityRange range() const { return range_; }
  /// The owned samples that have come so far; complete after the last round.
  [[nodiscard]] IdentitySlots slots() const { return {range_.first, begin_}; }

  /// One round: the labels and keys (none, or as many) of the own block's rows, of which those with
  /// a kept reason travel. `arrived` [slots] receives the keys; empty when there are none.
  /// Collective.
  template <class Key>
  void send(std::span<const std::int32_t> labels, std::span<const Key> keys,
            std::span<const Reason> reasons, std::vector<Key>& arrived);

  /// reasons of the slots -> reasons of the rows of this rank's blocks that travelled; the other
  /// rows stay as they are. Collective.
  void send_back(std::span<const Reason> of_slots, std::span<const std::int32_t> labels,
                 std::span<Reason> of_rows);

 private:
  [[nodiscard]] std::size_t owner_of(std::int32_t label) const;

  dist::HostCollectives& collectives_;
  std::vector<std::int64_t> bounds_;  // [ranks - 1]: first identity of the ranks from the second on
  IdentityRange range_;
  std::vector<std::int64_t> begin_;  // [own identities + 1]
  std::vector<std::int64_t> next_;   // [own identities]: next free slot
  std::vector<std::int32_t>
      arrivals_;  // [slots]: own identity (from 0) of each sample in the order of arrival
  std::vector<std::int64_t> arrival_counts_;  // [rounds * ranks]
};

}  // namespace diffprob::prune
