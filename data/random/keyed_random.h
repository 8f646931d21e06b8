#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "data/random/splitmix64.h"

namespace diffprob::data {

/// FNV-1a of a name, to key streams by name.
[[nodiscard]] constexpr std::uint64_t key_of_name(const char* name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (; *name != '\0'; ++name)
    hash = (hash ^ static_cast<unsigned char>(*name)) * 0x100000001b3ull;
  return hash;
}

/// A stream of numbers under one key.
class KeyedRandom {
 public:
  explicit constexpr KeyedRandom(std::uint64_t key) noexcept : base_(splitmix64(key)) {}
  [[nodiscard]] constexpr std::uint64_t bits() noexcept { return splitmix64(base_ + counter_++); }
  /// [0, 1), 24 bits: exact in float32.
  [[nodiscard]] constexpr float uniform() noexcept {
    return static_cast<float>(bits() >> 40) * 0x1p-24f;
  }
  [[nodiscard]] constexpr float uniform(float low, float high) noexcept {
    return low + (high - low) * uniform();
  }
  /// [0, n), n > 0, without modulo bias worth speaking of (64-bit product).
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t n) noexcept {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(bits()) * n) >> 64);
  }
  /// Standard normal (Box-Muller).
  [[nodiscard]] float normal() noexcept {
    const float u = 1.0f - uniform();
    const float v = uniform();
    return std::sqrt(-2.0f * std::log(u)) * std::cos(2.0f * std::numbers::pi_v<float> * v);
  }

 private:
  std::uint64_t base_;
  std::uint64_t counter_ = 0;
};

}  // namespace diffprob::data
