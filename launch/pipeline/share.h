#pragma once

#include <cstdint>

namespace diffprob::launch {

/// part / whole; nothing of nothing is 0.
[[nodiscard]] constexpr double share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

}  // namespace diffprob::launch
