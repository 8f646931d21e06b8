#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset.h"

namespace diffprob::data {

/// [set.num_classes()]: the labels that these samples have as 0, 1, 2, ... in their old order, -1 for the others. Throws DataError on an
/// index out of range.
[[nodiscard]] std::vector<std::int64_t> dense_label_map(const Dataset& set, std::span<const std::int64_t> indices);

}  // namespace diffprob::data
