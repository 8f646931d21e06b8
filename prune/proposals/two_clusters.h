#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::prune {

/// Two groups of the samples of an identity.
struct TwoClusters {
  std::vector<bool> in_smaller;  ///< [n]: all false when they cannot be told apart
  std::int64_t smaller = 0;      ///< samples of the smaller group; of equal ones the one without
                                 ///< the first sample
  double agreement = 1;          ///< of the groups (agreement.h); NaN when one has a single sample
};

/// 2-means on the unit sphere. units: [n, dim], rows of length 1. It starts from the sign along the
/// direction of the largest variance, so nothing is drawn: the same rows, the same groups. At most
/// 50 rounds. Pure.
[[nodiscard]] TwoClusters two_clusters(std::span<const float> units, std::size_t dim);

}  // namespace diffprob::prune
