#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "prune/error.h"
#include "prune/select/kept_front.h"

namespace diffprob::prune {

/// Kept of an identity with n usable samples when a fraction is wanted: int(n * fraction), at least
/// the floor; all when n is not above the floor.
inline KeptFront fraction_of(std::int64_t n, double fraction, const Floor& floor) {
  const std::int64_t minimum = floor.of(n);
  if (n <= minimum) return {n, n};
  const auto part = static_cast<std::int64_t>(static_cast<double>(n) * fraction);
  return {part, std::max(part, minimum)};
}

inline void check_fraction(const char* method, double fraction) {
  if (fraction >= 0 && fraction <= 1) return;
  throw PruneError(std::string(method) + ": fraction is " + std::to_string(fraction) +
                   ", expected 0 to 1");
}

}  // namespace diffprob::prune
