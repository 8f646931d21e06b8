#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "data/random/splitmix64.h"

namespace diffprob {

/// Value i of a stream of numbers in [0, 1): a function of both alone.
inline double uniform(std::uint64_t stream, std::uint64_t i) {
  return static_cast<double>(data::splitmix64(data::splitmix64(stream) + i) >> 11U) * 0x1p-53;
}

/// Samples of each identity: one each, the rest where v^2 falls: a few large identities, many small
/// ones.
inline std::vector<std::int64_t> long_tailed_sizes(std::int64_t samples, std::int64_t identities) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(identities), 1);
  for (std::int64_t j = identities; j < samples; ++j) {
    const double v = uniform(1, static_cast<std::uint64_t>(j));
    ++sizes[static_cast<std::size_t>(v * v * static_cast<double>(identities))];
  }
  return sizes;
}

}  // namespace diffprob
