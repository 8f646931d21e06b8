#include "data/synthetic/renderer.h"

#include <array>

#include "data/random/keyed_random.h"
#include "data/synthetic/painter.h"

namespace diffprob::data::faces {
namespace {

constexpr int kMaxRadius = 8;

std::array<float, kMaxRadius + 1> gaussian(float sigma, int radius) {
  std::array<float, kMaxRadius + 1> weights{};
  float sum = 0.0f;
  for (int i = 0; i <= radius; ++i) {
    const auto x = static_cast<float>(i);
    weights[static_cast<std::size_t>(i)] = std::exp(-0.5f * x * x / (sigma * sigma));
    sum += weights[static_cast<std::size_t>(i)] * (i == 0 ? 1.0f : 2.0f);
  }
  for (float& weight : weights) weight /= sum;
  return weights;
}

/// One pass along `stride`; the caller makes two. Beyond the border the border repeats.
void blur_line(const Colour* source, Colour* target, std::size_t stride,
               const std::array<float, kMaxRadius + 1>& weights, int radius) {
  for (int i = 0; i < kSide; ++i) {
    Colour sum = source[static_cast<std::size_t>(i) * stride] * weights[0];
    for (int k = 1; k <= radius; ++k) {
      const auto before = static_cast<std::size_t>(std::max(i - k, 0)) * stride;
      const auto after = static_cast<std::size_t>(std::min(i + k, kSide - 1)) * stride;
      sum = sum + (source[before] + source[after]) * weights[static_cast<std::size_t>(k)];
    }
    target[static_cast<std::size_t>(i) * stride] = sum;
  }
}

void blur(std::vector<Colour>& pixels, float sigma) {
  const int radius = std::min(kMaxRadius, static_cast<int>(std::ceil(2.5f * sigma)));
  if (sigma < 0.25f || radius < 1) return;
  const auto weights = gaussian(sigma, radius);
  std::vector<Colour> half(pixels.size());
  for (std::size_t y = 0; y < kSide; ++y)
    blur_line(&pixels[y * kSide], &half[y * kSide], 1, weights, radius);
  for (std::size_t x = 0; x < kSide; ++x) blur_line(&half[x], &pixels[x], kSide, weights, radius);
}

/// Sum of two bytes, centred and scaled to unit variance: near enough to a normal number for sensor
/// noise, and far cheaper.
float triangular(std::uint64_t bits, int field) {
  const auto low = static_cast<int>((bits >> (field * 16)) & 255);
  const auto high = static_cast<int>((bits >> (field * 16 + 8)) & 255);
  return static_cast<float>(low + high - 255) * (1.0f / 104.5f);
}

/// Camera: exposure, contrast, colour cast, sensor noise, 8 bits.
std::vector<std::uint8_t> develop(const std::vector<Colour>& pixels, const FaceSample& sample) {
  std::vector<std::uint8_t> bytes;
  bytes.reserve(pixels.size() * 3);
  KeyedRandom random(sample.noise_key);
  const auto quantise = [&](float value, float cast, float noise) {
    const float exposed = 0.45f + (value * cast - 0.45f) * sample.contrast;
    return static_cast<std::uint8_t>(
        std::clamp((exposed * sample.gain + sample.noise * noise) * 255.0f + 0.5f, 0.0f, 255.0f));
  };
  for (const Colour& pixel : pixels) {
    const std::uint64_t bits = random.bits();
    bytes.push_back(quantise(pixel.r, sample.cast.r, triangular(bits, 0)));
    bytes.push_back(quantise(pixel.g, sample.cast.g, triangular(bits, 1)));
    bytes.push_back(quantise(pixel.b, sample.cast.b, triangular(bits, 2)));
  }
  return bytes;
}

}  // namespace

std::vector<std::uint8_t> render_face(const FaceIdentity& face, const FaceSample& sample) {
  Canvas canvas({0.5f, 0.5f, 0.5f});
  FacePainter painter(canvas, face, sample);
  painter.background();
  painter.hair_behind();
  painter.body();
  painter.ears(/*in_front=*/false);
  painter.skin();
  painter.beard();
  painter.marks();
  painter.nose();
  painter.mouth();
  painter.eyes();
  const bool covers_ears =
      face.hair.style == HairStyle::kLong || face.hair.style == HairStyle::kBob;
  if (covers_ears) painter.ears(/*in_front=*/true);
  painter.hair_in_front();
  if (!covers_ears) painter.ears(/*in_front=*/true);
  painter.light();
  painter.glasses();
  painter.occluder();
  blur(canvas.pixels(), sample.blur);
  return develop(canvas.pixels(), sample);
}

}  // namespace diffprob::data::faces
