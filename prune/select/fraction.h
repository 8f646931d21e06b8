#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "prune/error.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// How many of an identity with n usable samples are kept when a fraction is wanted: int(n *
/// fraction), at least the floor; all when n is not above the floor.
struct FractionOf {
  FractionOf(std::int64_t n, double fraction, const Floor& floor) : by_fraction(n), in_all(n) {
    const std::int64_t minimum = floor.of(n);
    if (n <= minimum) return;
    by_fraction = static_cast<std::int64_t>(static_cast<double>(n) * fraction);
    in_all = std::max(by_fraction, minimum);
  }

  /// Slots of the identity, the ones to keep first.
  void write(std::span<const std::uint32_t> slots, std::span<Reason> reasons) const {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const auto place = static_cast<std::int64_t>(i);
      reasons[slots[i]] = place < by_fraction ? Reason::kKept
                          : place < in_all    ? Reason::kKeptByFloor
                                              : Reason::kRedundant;
    }
  }

  std::int64_t by_fraction;
  std::int64_t in_all;
};

inline void check_fraction(const char* method, double fraction) {
  if (fraction >= 0 && fraction <= 1) return;
  throw PruneError(std::string(method) + ": fraction is " + std::to_string(fraction) +
                   ", expected 0 to 1");
}

}  // namespace diffprob::prune
