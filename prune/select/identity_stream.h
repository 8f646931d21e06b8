#pragma once

#include <cstdint>

#include "data/random/splitmix64.h"

namespace diffprob::prune {

/// Counter-based stream of random numbers, a function of (seed, identity) only.
class IdentityStream {
 public:
  IdentityStream(std::uint64_t seed, std::int64_t identity)
      : base_(data::combine_key(seed, static_cast<std::uint64_t>(identity))) {}

  /// The k-th number of the stream.
  [[nodiscard]] std::uint64_t at(std::uint64_t k) const { return data::splitmix64(base_ + k); }

  /// Uniform in [0, bound), bound > 0. Draws from the incomplete last round of 2^64 are refused: no
  /// bias.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t incomplete = (0 - bound) % bound;
    std::uint64_t draw = at(counter_++);
    while (draw < incomplete) draw = at(counter_++);
    return draw % bound;
  }

 private:
  std::uint64_t base_;
  std::uint64_t counter_ = 0;
};

}  // namespace diffprob::prune
