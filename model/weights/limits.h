#pragma once

#include <cstddef>

namespace diffprob::model {

/// What a weight file of any form may hold; one with more is refused.
inline constexpr std::size_t kMostEntries = std::size_t{1} << 16;
inline constexpr std::size_t kLongestName = 1024;

}  // namespace diffprob::model
