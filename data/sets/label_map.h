#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Far more than any set has; a damaged label or property file can say 2^31. Maps have 8 bytes a
/// class.
inline constexpr std::int64_t kMostMappedClasses = std::int64_t{1} << 26;

/// [set.num_classes()]: the labels that these samples have as 0, 1, 2, ... in their old order, -1
/// for the others. Throws DataError on an index out of range, or more classes than
/// kMostMappedClasses.
[[nodiscard]] std::vector<std::int64_t> dense_label_map(const Dataset& set,
                                                        std::span<const std::int64_t> indices);

}  // namespace diffprob::data
