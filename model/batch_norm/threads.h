#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

#include "model/kernels/host_device.h"
#include "model/kernels/pack.h"

namespace diffprob::model::gpu {

/// Statistics and parameters of a layer, [C] each. weight, bias and slope may be null: 1, 0, no
/// PReLU.
struct ChannelArrays {
  const double* mean;
  const double* inv_std;  ///< 1 / sqrt(variance + eps)
  const float* weight;
  const float* bias;
  const float* slope;
};

}  // namespace diffprob::model::gpu

/// What one thread of the GPU's batch norm kernels does (gpu.cu), as plain functions. x lies rows x
/// channels (a row is a pixel, its channels are adjacent), kWidth channels per thread. A block has
/// `lanes` threads per row and `rows_at_once` rows; all blocks walk the rows together.
///
/// Pointers are parameters of their own, not members of a struct, because only parameters can
/// promise with __restrict__ that arrays do not overlap; without that promise the compiler would
/// not move the loads of the next rows ahead of a store.
namespace diffprob::model::gpu::thread {

/// How rows and channels are dealt to threads.
struct ThreadLayout {
  std::int64_t rows;
  int channels;
  int lanes;         ///< channels / kWidth
  int rows_at_once;  ///< per block
  int blocks;
};

/// Place of one thread: its first channel, its first row, and how far the next one is. channel < 0:
/// it has nothing to do. The second pass over an array walks it from the end, because what the
/// first pass read last is still in the cache.
struct ThreadPlace {
  int channel;
  std::int64_t row;
  std::int64_t step;
  std::int64_t rows;  ///< of the whole array
  int channels;       ///< of the whole array
};
template <int kWidth>
DIFFPROB_HOST_DEVICE ThreadPlace place_of(const ThreadLayout& layout, int block, int thread) {
  const int row = thread / layout.lanes;
  if (row >= layout.rows_at_once) return {-1, 0, 1, layout.rows, layout.channels};
  return {(thread - row * layout.lanes) * kWidth,
          static_cast<std::int64_t>(block) * layout.rows_at_once + row,
          static_cast<std::int64_t>(layout.blocks) * layout.rows_at_once, layout.rows,
          layout.channels};
}

/// Terms of the channels of one thread, as arithmetic.h names them. `constant` and `factor` are of
/// input_gradients() only, and zeros when the statistics are frozen.
template <int kWidth>
struct Channels {
  float mean[kWidth];
  float scale[kWidth];
  float shift[kWidth];
  float slope[kWidth];
  float constant[kWidth] = {};
  float factor[kWidth] = {};
};
/// Computes the terms in float64 and rounds each once. The rounding of the mean goes into the
/// shift.
template <int kWidth>
DIFFPROB_HOST_DEVICE Channels<kWidth> channels_of(const ChannelArrays& arrays, int first) {
  Channels<kWidth> out;
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    const int c = first + i;
    const double scale = arrays.inv_std[c] *
                         (arrays.weight != nullptr ? static_cast<double>(arrays.weight[c]) : 1.0);
    out.mean[i] = static_cast<float>(arrays.mean[c]);
    out.scale[i] = static_cast<float>(scale);
    const double rounding = (static_cast<double>(out.mean[i]) - arrays.mean[c]) * scale;
    out.shift[i] = static_cast<float>(
        rounding + (arrays.bias != nullptr ? static_cast<double>(arrays.bias[c]) : 0.0));
    out.slope[i] = arrays.slope != nullptr ? arrays.slope[c] : 1.0f;
  }
  return out;
}

/// BN's output before the PReLU. The forward and the backward pass both call this, so that they see
/// the same side of 0.
DIFFPROB_HOST_DEVICE float normalized_float(float x, float mean, float scale, float shift) {
  return (x - mean) * scale + shift;
}

/// Rows that a thread reads before it works on the first of them, so that loads wait for memory
/// together, not one after the other. As many as the registers allow with three blocks of 256
/// threads per multiprocessor.
constexpr int rows_ahead(int arrays, bool with_slope) {
  return arrays == 1 ? 4 : arrays == 2 && !with_slope ? 3 : 2;
}

/// Adds one row's channels: sums[0] += x - origin, sums[1] += (x - origin)^2.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_away(const Pack<T, kWidth>& x, const Pack<T, kWidth>& origin,
                                   float (&sums)[2][kWidth]) {
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    const float away = static_cast<float>(x.value[i]) - static_cast<float>(origin.value[i]);
    sums[0][i] += away;
    sums[1][i] += away * away;
  }
}

/// Adds the rows of this thread: sums[0] += x - origin, sums[1] += (x - origin)^2, where origin is
/// the first row of x. Distances from a row of the batch keep the digits that sums of x^2 in
/// float32 would lose when the mean is large.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_shifted_moments(const T* __restrict__ x, const ThreadPlace& place,
                                              float (&sums)[2][kWidth]) {
  constexpr int kAhead = rows_ahead(1, false);
  const auto origin = load<T, kWidth>(x + place.channel);
  for (std::int64_t top = place.row; top < place.rows; top += kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top + k * place.step;
      values[k] = r < place.rows ? load<T, kWidth>(x + r * place.channels + place.channel) : origin;
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) add_away(values[k], origin, sums);
  }
}

/// Moments of one channel, from sums over all rows of (x - origin) and of its square.
struct ChannelMoments {
  double mean;
  double m2;  ///< sum of (x - mean)^2
};
DIFFPROB_HOST_DEVICE ChannelMoments moments_of_sums(double sum, double square, double origin,
                                                    double count) {
  const double m2 = square - sum * sum / count;
  return {origin + sum / count, m2 > 0 ? m2 : 0};
}

/// Returns y = prelu(BN(x)) + residual of one row's channels.
template <class T, int kWidth, bool with_slope, bool with_residual>
DIFFPROB_HOST_DEVICE Pack<T, kWidth> normalized_pack(const Pack<T, kWidth>& x,
                                                     const Pack<T, kWidth>& residual,
                                                     const Channels<kWidth>& channels) {
  Pack<T, kWidth> out;
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    float z = normalized_float(static_cast<float>(x.value[i]), channels.mean[i], channels.scale[i],
                               channels.shift[i]);
    if (with_slope) z = z > 0.0f ? z : z * channels.slope[i];
    if (with_residual) z += static_cast<float>(residual.value[i]);
    out.value[i] = static_cast<T>(z);
  }
  return out;
}

/// Writes y = prelu(BN(x)) + residual over the rows of this thread, from the last to the first.
/// With moments, also adds what add_shifted_moments() would find in y: sums[0] += y - origin,
/// sums[1] += (y - origin)^2, origin being the first row of y, all as y is stored.
template <class T, int kWidth, bool with_slope, bool with_residual, bool with_moments>
DIFFPROB_HOST_DEVICE void normalize(const T* __restrict__ x, const T* __restrict__ residual,
                                    const Channels<kWidth>& channels, const ThreadPlace& place,
                                    T* __restrict__ y, float (&sums)[2][kWidth]) {
  constexpr int kAhead = with_moments ? 2 : rows_ahead(with_residual ? 2 : 1, with_slope);
  Pack<T, kWidth> origin{};
  if (with_moments) {
    const auto first = load<T, kWidth>(x + place.channel);
    origin = normalized_pack<T, kWidth, with_slope, with_residual>(
        first, with_residual ? load<T, kWidth>(residual + place.channel) : first, channels);
  }
  for (std::int64_t top = place.rows - 1 - place.row; top >= 0; top -= kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> others[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      values[k] = load<T, kWidth>(x + r * place.channels + place.channel);
      if (with_residual) others[k] = load<T, kWidth>(residual + r * place.channels + place.channel);
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      const auto out =
          normalized_pack<T, kWidth, with_slope, with_residual>(values[k], others[k], channels);
      store<T, kWidth>(y + r * place.channels + place.channel, out);
      if (with_moments) add_away(out, origin, sums);
    }
  }
}

/// How many sums the backward pass needs: that of the slope's gradient only with a PReLU.
constexpr int gradient_quantities(bool with_slope) {
  return with_slope ? 3 : 2;
}

/// Adds the rows of this thread, with g the gradient of BN's output: sums[0] += g, sums[1] +=
/// g (x - mean), sums[2] += gradient of the PReLU's slope.
template <class T, int kWidth, bool with_slope>
DIFFPROB_HOST_DEVICE void add_gradient_sums(
    const T* __restrict__ grad, const T* __restrict__ x, const Channels<kWidth>& channels,
    const ThreadPlace& place, float (&sums)[gradient_quantities(with_slope)][kWidth]) {
  constexpr int kAhead = rows_ahead(2, with_slope);
  for (std::int64_t top = place.row; top < place.rows; top += kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> grads[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top + k * place.step;
      if (r >= place.rows) continue;
      values[k] = load<T, kWidth>(x + r * place.channels + place.channel);
      grads[k] = load<T, kWidth>(grad + r * place.channels + place.channel);
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      if (top + k * place.step >= place.rows) continue;
      DIFFPROB_UNROLL(kWidth)
      for (int i = 0; i < kWidth; ++i) {
        const float value = static_cast<float>(values[k].value[i]);
        float g = static_cast<float>(grads[k].value[i]);
        if constexpr (with_slope) {
          const float z =
              normalized_float(value, channels.mean[i], channels.scale[i], channels.shift[i]);
          if (!(z > 0.0f)) {
            sums[2][i] += g * z;
            g *= channels.slope[i];
          }
        }
        sums[0][i] += g;
        sums[1][i] += g * (value - channels.mean[i]);
      }
    }
  }
}

/// What statistics that depend on x add to its gradient, which is g scale - constant - (x - mean)
/// factor. One channel; sum and product as add_gradient_sums() finds them, over all rows.
struct StatisticsGradient {
  float constant;
  float factor;
};
DIFFPROB_HOST_DEVICE StatisticsGradient statistics_gradient(double sum, double product,
                                                            double scale, double inv_std,
                                                            double count) {
  return {static_cast<float>(scale * sum / count),
          static_cast<float>(scale * inv_std * inv_std * product / count)};
}

/// The layer whose output x is, without PReLU: its input, and the mean of that.
template <class T, int kWidth>
struct LayerBefore {
  const T* x;
  float mean[kWidth];
};

/// Writes the gradient of x, plus `residual` (the gradient that comes around this layer), over the
/// rows of this thread, from the last to the first. With the layer before, also adds what
/// add_gradient_sums() would find for it: what is written, as it is stored, is the gradient of its
/// output.
template <class T, int kWidth, bool with_slope, bool with_residual, bool with_before>
// NOLINTNEXTLINE(readability-function-size): arrays must be parameters, as said above
DIFFPROB_HOST_DEVICE void input_gradients(const T* __restrict__ grad, const T* __restrict__ x,
                                          const T* __restrict__ residual,
                                          const Channels<kWidth>& channels,
                                          const ThreadPlace& place, T* __restrict__ grad_x,
                                          const LayerBefore<T, kWidth>& before,
                                          float (&sums)[2][kWidth]) {
  constexpr int kArrays = 2 + (with_residual ? 1 : 0) + (with_before ? 1 : 0);
  // To round to bfloat16 takes more registers than to round to the others.
  constexpr bool kTight = kArrays == 4 && std::is_same_v<T, c10::BFloat16>;
  constexpr int kAhead = kTight ? 1 : rows_ahead(kArrays, with_slope);
  for (std::int64_t top = place.rows - 1 - place.row; top >= 0; top -= kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> grads[kAhead];
    Pack<T, kWidth> others[kAhead];
    Pack<T, kWidth> below[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      values[k] = load<T, kWidth>(x + r * place.channels + place.channel);
      grads[k] = load<T, kWidth>(grad + r * place.channels + place.channel);
      if (with_residual) others[k] = load<T, kWidth>(residual + r * place.channels + place.channel);
      if (with_before) below[k] = load<T, kWidth>(before.x + r * place.channels + place.channel);
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      Pack<T, kWidth> out;
      DIFFPROB_UNROLL(kWidth)
      for (int i = 0; i < kWidth; ++i) {
        const float value = static_cast<float>(values[k].value[i]);
        float g = static_cast<float>(grads[k].value[i]);
        if (with_slope) {
          const float z =
              normalized_float(value, channels.mean[i], channels.scale[i], channels.shift[i]);
          if (!(z > 0.0f)) g *= channels.slope[i];
        }
        float result = g * channels.scale[i] - channels.constant[i] -
                       (value - channels.mean[i]) * channels.factor[i];
        if (with_residual) result += static_cast<float>(others[k].value[i]);
        out.value[i] = static_cast<T>(result);
        if (with_before) {
          const float stored = static_cast<float>(out.value[i]);
          sums[0][i] += stored;
          sums[1][i] += stored * (static_cast<float>(below[k].value[i]) - before.mean[i]);
        }
      }
      store<T, kWidth>(grad_x + r * place.channels + place.channel, out);
    }
  }
}

}  // namespace diffprob::model::gpu::thread
