#include "model/softmax/kernels.h"

#include <algorithm>
#include <bit>

#include "data/random/keyed_random.h"
#include "model/kernels/host_device.h"
#include "model/kernels/vector_dispatch.h"
#include "model/kernels/vector_exp.h"

namespace diffprob::model::host {
namespace {

constexpr std::int64_t kTile = 256;     // columns whose accumulators stay in the first cache
constexpr std::int64_t kSumBlock = 64;  // terms added in float32 before they go to the float64 sum
constexpr std::int64_t kLanes = 32;     // independent partial sums of a dot product

DIFFPROB_INLINE float limit(float value) {
  const float low = value < -1.0f ? -1.0f : value;
  return low > 1.0f ? 1.0f : low;
}

DIFFPROB_INLINE void cosines_body(Block block, const float* __restrict inverse_norms,
                                  float* __restrict maxima) {
  for (std::int64_t i = 0; i < block.classes; ++i) {
    float* __restrict row = block.values + i * block.stride;
    const float inverse = inverse_norms[i];
    for (std::int64_t b = 0; b < block.columns; ++b) {
      const float cosine = limit(row[b] * inverse);
      row[b] = cosine;
      maxima[b] = cosine > maxima[b] ? cosine : maxima[b];
    }
  }
}

DIFFPROB_INLINE void exponentials_body(Block block, const float* __restrict inverse_norms,
                                       float scale, const float* __restrict reference,
                                       double* __restrict sums) {
  for (std::int64_t left = 0; left < block.columns; left += kTile) {
    const std::int64_t columns = std::min(kTile, block.columns - left);
    for (std::int64_t top = 0; top < block.classes; top += kSumBlock) {
      float partial[kTile] = {};
      for (std::int64_t i = top; i < std::min(block.classes, top + kSumBlock); ++i) {
        float* __restrict row = block.values + i * block.stride + left;
        const float inverse = inverse_norms[i];
        for (std::int64_t b = 0; b < columns; ++b) {
          const float value = exp_of(scale * (row[b] - reference[left + b]));
          partial[b] += value;
          row[b] = value * inverse;
        }
      }
      for (std::int64_t b = 0; b < columns; ++b) sums[left + b] += static_cast<double>(partial[b]);
    }
  }
}

DIFFPROB_INLINE void gradients_body(Block block, const float* __restrict inverse_norms, float scale,
                                    const float* __restrict reference,
                                    const float* __restrict factor) {
  for (std::int64_t i = 0; i < block.classes; ++i) {
    float* __restrict row = block.values + i * block.stride;
    const float inverse = inverse_norms[i];
    for (std::int64_t b = 0; b < block.columns; ++b) {
      row[b] = exp_of(scale * (limit(row[b] * inverse) - reference[b])) * inverse * factor[b];
    }
  }
}

DIFFPROB_INLINE void project_body(float* gradient, const float* centres, const float* inverse_norms,
                                  std::int64_t rows, std::int64_t dim) {
  const std::int64_t whole = dim / kLanes * kLanes;
  for (std::int64_t i = 0; i < rows; ++i) {
    float* __restrict g = gradient + i * dim;
    const float* __restrict c = centres + i * dim;
    float lanes[kLanes] = {};
    for (std::int64_t d = 0; d < whole; d += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += g[d + lane] * c[d + lane];
    }
    float along = 0;
    for (const float lane : lanes) along += lane;
    for (std::int64_t d = whole; d < dim; ++d) along += g[d] * c[d];
    along = along * inverse_norms[i] * inverse_norms[i];
    for (std::int64_t d = 0; d < dim; ++d) g[d] -= along * c[d];
  }
}

DIFFPROB_INLINE void sgd_body(float* __restrict weight, float* __restrict velocity,
                              const float* __restrict gradient, std::int64_t count, SgdStep step) {
  const float own = step.nesterov ? 1.0f : 0.0f;
  const float kept = step.nesterov ? step.momentum : 1.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    const float pull = gradient[i] + step.decay * weight[i];
    const float next = step.momentum * velocity[i] + pull;
    velocity[i] = next;
    weight[i] -= step.rate * (own * pull + kept * next);
  }
}

DIFFPROB_INLINE void round_body(const float* __restrict values, const std::int64_t* ids,
                                std::int64_t rows, std::int64_t dim, std::uint64_t mixed_key,
                                std::uint16_t* __restrict out) {
  constexpr std::uint32_t kExponent = 0x7F800000u;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::uint64_t base = static_cast<std::uint64_t>(ids[i] * dim) + mixed_key;
    for (std::int64_t d = 0; d < dim; ++d) {
      const std::uint32_t bits = std::bit_cast<std::uint32_t>(values[i * dim + d]);
      const auto random = static_cast<std::uint32_t>(
          data::splitmix64(base + static_cast<std::uint64_t>(d)) & 0xFFFFu);
      const std::uint32_t finite = bits + random;
      // Keeps a not-a-number what it is.
      const std::uint32_t other = bits | ((bits & 0xFFFFu) != 0 ? 0x10000u : 0u);
      out[i * dim + d] =
          static_cast<std::uint16_t>(((bits & kExponent) == kExponent ? other : finite) >> 16);
    }
  }
}

}  // namespace

void cosines(Block block, const float* inverse_norms, float* maxima) {
  run_widest<cosines_body>(block, inverse_norms, maxima);
}

void exponentials(Block block, const float* inverse_norms, float scale, const float* reference,
                  double* sums) {
  run_widest<exponentials_body>(block, inverse_norms, scale, reference, sums);
}

void gradients(Block block, const float* inverse_norms, float scale, const float* reference,
               const float* factor) {
  run_widest<gradients_body>(block, inverse_norms, scale, reference, factor);
}

void project(float* gradient, const float* centres, const float* inverse_norms, std::int64_t rows,
             std::int64_t dim) {
  run_widest<project_body>(gradient, centres, inverse_norms, rows, dim);
}

void sgd(float* weight, float* velocity, const float* gradient, std::int64_t count, SgdStep step) {
  run_widest<sgd_body>(weight, velocity, gradient, count, step);
}

void round_stochastically(const float* values, const std::int64_t* ids, std::int64_t rows,
                          std::int64_t dim, std::uint64_t key, std::uint16_t* out) {
  run_widest<round_body>(values, ids, rows, dim, data::splitmix64(key), out);
}

}  // namespace diffprob::model::host
