#pragma once

#include <algorithm>
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

[[nodiscard]] inline double from_half(HalfBits bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int mantissa = bits & 0x3FF;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0x1F)
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(mantissa + 0x400, exponent - 25);
}

}  // namespace diffprob::prune
