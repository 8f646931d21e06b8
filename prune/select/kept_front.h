#pragma once

#include <cstdint>
#include <span>

#include "prune/select/selection.h"

namespace diffprob::prune {

/// How many samples of an identity are kept, when they stand in the order in which they are wanted.
struct KeptFront {
  std::int64_t by_method = 0;
  std::int64_t in_all = 0;  ///< at least by_method: with what the floor adds

  /// Slots of the identity, the ones to keep first.
  void write(std::span<const std::uint32_t> slots, std::span<Reason> reasons) const {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      reasons[slots[i]] = place < by_method ? Reason::kKept
                          : place < in_all  ? Reason::kKeptByFloor
                                            : Reason::kRedundant;
    }
  }
};

}  // namespace diffprob::prune
