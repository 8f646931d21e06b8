#pragma once

#include <cstdint>

namespace diffprob::prune {

/// Samples [first, last) of a data set.
struct SampleRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  [[nodiscard]] std::int64_t size() const { return last - first; }
};

}  // namespace diffprob::prune
