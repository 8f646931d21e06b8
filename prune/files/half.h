#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace diffprob::prune {

/// IEEE 754 binary16 ("float16") as its bits.
using HalfBits = std::uint16_t;
inline constexpr HalfBits kHalfNaN = 0x7E00;

/// Nearest value, ties to even; too large is infinity.
[[nodiscard]] inline HalfBits to_half(double value) {
  if (std::isnan(value)) return kHalfNaN;
  const auto sign = static_cast<HalfBits>(std::signbit(value) ? 0x8000 : 0);
  const double size = std::fabs(value);
  if (size == 0) return sign;
  constexpr double kOverflow = 65520;  // halfway between the largest value and the next one
  if (size >= kOverflow) return static_cast<HalfBits>(sign | 0x7C00);
  constexpr int kMantissa = 10, kLowestExponent = -14, kBias = 15;
  int exponent = 0;
  std::frexp(size, &exponent);  // size < 2^exponent
  exponent = std::max(exponent - 1, kLowestExponent);
  const auto units = static_cast<std::uint32_t>(
      std::nearbyint(std::ldexp(size, kMantissa - exponent)));  // of the last place; 2^11 carries
  const std::uint32_t bits =
      units + (exponent == kLowestExponent
                   ? 0U
                   : static_cast<std::uint32_t>(exponent + kBias - 1) << kMantissa);
  return static_cast<HalfBits>(sign | bits);
}

/// Exact, without a branch, so that loops over whole matrices become vector code.
[[nodiscard]] inline float float_from_half(HalfBits bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16U;
  const std::uint32_t size = (bits & 0x7FFFU) << 13U;
  // The exponents of the formats differ by 112; numbers below the least normal one scale as well.
  const auto finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) * 0x1p112F);
  const std::uint32_t special = size | 0x7F800000U;
  return std::bit_cast<float>(sign | (size >= 0x0F800000U ? special : finite));
}

[[nodiscard]] inline double from_half(HalfBits bits) {
  return float_from_half(bits);
}

}  // namespace diffprob::prune
