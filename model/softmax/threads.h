#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "data/random/splitmix64.h"
#include "model/kernels/host_device.h"

namespace diffprob::model::gpu {

/// Factors of one SGD update.
struct HeadSgdStep {
  float rate;
  float momentum;
  float decay;
  bool nesterov;
};

/// What is rounded stochastically in an update; the values are parts of keys.
enum class HeadRounding : std::uint64_t { kWeight = 0, kMomentum = 1 };

}  // namespace diffprob::model::gpu

/// What one thread of the GPU's head kernels does to one element (gpu.cu), as plain functions
/// that tests run on the host.
namespace diffprob::model::gpu::thread {

/// Product of a centre and a normalised embedding -> cosine. Not-a-number stays what it is.
DIFFPROB_HOST_DEVICE float cosine_of_product(float product, float inverse_norm) {
  const float cosine = product * inverse_norm;
  const float low = cosine < -1.0f ? -1.0f : cosine;
  return low > 1.0f ? 1.0f : low;
}

/// Where a row of a chunk stands to a sample's target class. target: row of that class, relative to
/// the chunk, which it may lie outside of; is_local: true if this rank has it at all.
enum class Side { kBelow, kTarget, kAbove };
DIFFPROB_HOST_DEVICE Side side_of(std::int64_t row, std::int64_t target, bool is_local) {
  if (is_local && row == target) return Side::kTarget;
  return row < target ? Side::kBelow : Side::kAbove;
}

/// Cosine of a centre and a normalised embedding from their product and the squares of their
/// lengths.
DIFFPROB_HOST_DEVICE double target_cosine(double product, double centre_square,
                                          double embedding_square) {
  const double lengths = std::sqrt(centre_square) * std::sqrt(embedding_square);
  const double cosine = product / (lengths > 1e-300 ? lengths : 1e-300);
  const double low = cosine < -1.0 ? -1.0 : cosine;
  return low > 1.0 ? 1.0 : low;
}
/// 1 / length; 0 for what is too short to have a direction.
DIFFPROB_HOST_DEVICE float inverse_length(double square) {
  const auto length = static_cast<float>(std::sqrt(square));
  return length <= 1e-12f ? 0.0f : 1.0f / length;
}

DIFFPROB_HOST_DEVICE float exponential_of_cosine(float cosine, float scale, float reference) {
  return std::exp(scale * (cosine - reference));
}

/// SGD of one element, with what is left of the gradient of a normalised row when its part along
/// the row is taken off: gradient - along * weight (see project_off_centres).
struct HeadElement {
  float weight;
  float velocity;
};
DIFFPROB_HOST_DEVICE HeadElement head_sgd(HeadElement old, float gradient, float along,
                                          const HeadSgdStep& step) {
  const float pull = gradient - along * old.weight + step.decay * old.weight;
  const float velocity = step.momentum * old.velocity + pull;
  const float direction = step.nesterov ? pull + step.momentum * velocity : velocity;
  return {old.weight - step.rate * direction, velocity};
}

/// What the stochastic rounding of a step's weights or momenta adds to the number of an element.
DIFFPROB_HOST_DEVICE std::uint64_t rounding_word(std::uint64_t step_key, HeadRounding of) {
  return data::splitmix64(data::combine_key(step_key, static_cast<std::uint64_t>(of)));
}

/// Bits of the bfloat16 that `value` is rounded to, up or down by a random number that is a
/// function of (key, class, column): base = class id * dim + splitmix64(key).
DIFFPROB_HOST_DEVICE std::uint16_t stochastic_bfloat16(float value, std::uint64_t base,
                                                       std::int64_t column) {
  constexpr std::uint32_t kExponent = 0x7F800000u;
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto random = static_cast<std::uint32_t>(
      data::splitmix64(base + static_cast<std::uint64_t>(column)) & 0xFFFFu);
  // Keeps a not-a-number what it is.
  const std::uint32_t other = bits | ((bits & 0xFFFFu) != 0 ? 0x10000u : 0u);
  return static_cast<std::uint16_t>(((bits & kExponent) == kExponent ? other : bits + random) >>
                                    16);
}

}  // namespace diffprob::model::gpu::thread
