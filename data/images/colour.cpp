#include <algorithm>
#include <array>
#include <cmath>

#include "data/images/augment.h"

namespace diffprob::data::colour {
namespace {

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f) + 0.5f);
}

/// 16-bit fixed point; the weights add up to 65536, so that grey stays what it is.
int luma(const std::uint8_t* rgb) {
  return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16;
}

/// v -> centre + factor * (v - centre), the same for all bytes.
void scale_about(std::uint8_t* rgb, std::int64_t pixels, float factor, float centre) {
  std::array<std::uint8_t, 256> table;
  for (std::size_t v = 0; v < table.size(); ++v)
    table[v] = to_byte(centre + factor * (static_cast<float>(v) - centre));
  for (std::int64_t i = 0; i < 3 * pixels; ++i) rgb[i] = table[rgb[i]];
}

/// In sixths of a turn from red, [0, 6). `largest` > `smallest`.
float hue_of(const std::uint8_t* rgb, int largest, int smallest) {
  const auto chroma = static_cast<float>(largest - smallest);
  const int r = rgb[0], g = rgb[1], b = rgb[2];
  if (largest == r) {
    const float sixths = static_cast<float>(g - b) / chroma;
    return sixths < 0.0f ? sixths + 6.0f : sixths;
  }
  return largest == g ? 2.0f + static_cast<float>(b - r) / chroma
                      : 4.0f + static_cast<float>(r - g) / chroma;
}

/// One channel of the hexcone: a trapezoid over the hue, shifted by 5, 3 and 1 sixths for red,
/// green and blue.
std::uint8_t channel_at(float sixths, float shift, float largest, float chroma) {
  float at = sixths + shift;
  if (at >= 6.0f) at -= 6.0f;
  return to_byte(largest - chroma * std::clamp(std::min(at, 4.0f - at), 0.0f, 1.0f));
}

}  // namespace

void scale_brightness(std::uint8_t* rgb, std::int64_t pixels, float factor) {
  scale_about(rgb, pixels, factor, 0.0f);
}

void scale_contrast(std::uint8_t* rgb, std::int64_t pixels, float factor) {
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < pixels; ++i) sum += luma(rgb + 3 * i);
  scale_about(rgb, pixels, factor, static_cast<float>((2 * sum + pixels) / (2 * pixels)));
}

void scale_saturation(std::uint8_t* rgb, std::int64_t pixels, float factor) {
  for (std::uint8_t* pixel = rgb; pixel != rgb + 3 * pixels; pixel += 3) {
    const auto grey = static_cast<float>(luma(pixel));
    for (int c = 0; c < 3; ++c)
      pixel[c] = to_byte(grey + factor * (static_cast<float>(pixel[c]) - grey));
  }
}

void turn_hue(std::uint8_t* rgb, std::int64_t pixels, float turns) {
  const float shift = 6.0f * (turns - std::floor(turns));
  for (std::uint8_t* pixel = rgb; pixel != rgb + 3 * pixels; pixel += 3) {
    const int largest = std::max({pixel[0], pixel[1], pixel[2]});
    const int smallest = std::min({pixel[0], pixel[1], pixel[2]});
    if (largest == smallest) continue;
    float sixths = hue_of(pixel, largest, smallest) + shift;
    if (sixths >= 6.0f) sixths -= 6.0f;
    const auto value = static_cast<float>(largest);
    const auto chroma = static_cast<float>(largest - smallest);
    pixel[0] = channel_at(sixths, 5.0f, value, chroma);
    pixel[1] = channel_at(sixths, 3.0f, value, chroma);
    pixel[2] = channel_at(sixths, 1.0f, value, chroma);
  }
}

}  // namespace diffprob::data::colour
