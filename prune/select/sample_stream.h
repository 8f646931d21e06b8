#pragma once

#include <cstdint>

namespace diffprob::prune {

[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

/// splitmix64 as a counter-based generator: the stream is a function of (seed, identity) alone.
class IdentityStream {
 public:
  IdentityStream(std::uint64_t seed, std::int64_t identity)
      : base_(splitmix64(splitmix64(seed) + static_cast<std::uint64_t>(identity))) {}

  /// The k-th number of the stream.
  [[nodiscard]] std::uint64_t at(std::uint64_t k) const { return splitmix64(base_ + k); }

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
