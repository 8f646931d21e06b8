#pragma once

#include <cstdint>

namespace diffprob::data {

/// Counter-based random numbers: a value is a pure function of its key, so streams are the same for
/// any number of ranks and threads and need no state in a checkpoint. SplitMix64 (Steele, Lea,
/// Flood, OOPSLA 2014, as finaliser).
[[nodiscard]] constexpr std::uint64_t splitmix64(std::uint64_t x) noexcept {
  std::uint64_t z = x + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

[[nodiscard]] constexpr std::uint64_t combine_key(std::uint64_t key, std::uint64_t value) noexcept {
  return splitmix64(splitmix64(key) + value);
}

}  // namespace diffprob::data
