#pragma once

#include <bit>
#include <cstdint>

namespace diffprob::model::host {

/// Within 2 units in the last place for x in [-87, 88]; 0 below, NaN for NaN. Written so that
/// compilers make vectors of it.
[[gnu::always_inline]] inline float exp_of(float x) {
  constexpr float kLowest = -87.0f;
  constexpr float kHighest = 88.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;  // few bits, so that k * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRounder = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  float limited = x < kLowest ? kLowest : x;
  limited = limited > kHighest ? kHighest : limited;
  const float shifted = limited * kLog2E + kRounder;
  const float k = shifted - kRounder;
  const float r = (limited - k * kLn2High) -
                  k * kLn2Low;  // |r| <= ln(2) / 2: eight terms of the series leave 5e-9
  float series = 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const std::uint32_t exponent =
      (std::bit_cast<std::uint32_t>(shifted) << 23) + (std::uint32_t{127} << 23);
  const float result = series * std::bit_cast<float>(exponent);
  return x < kLowest ? 0.0f : result;
}

}  // namespace diffprob::model::host
