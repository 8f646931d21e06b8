#pragma once

#include <cstdint>

#include "model/kernels/host_device.h"

/// What one thread of the GPU's batch norm kernels does (batch_norm_gpu.cu), as plain functions:
/// the host can run them for every thread in turn, and tests compare that with LibTorch's
/// operators. x lies rows x channels (a row is a pixel, channels are beside each other), kWidth
/// channels to a thread. A block has `lanes` threads to a row and `rows_at_once` rows; all blocks
/// walk the rows together.
namespace diffprob::model::kernels {

/// How rows and channels are dealt to threads.
struct ThreadLayout {
  std::int64_t rows;
  int channels;
  int lanes;         ///< channels / kWidth
  int rows_at_once;  ///< of a block
  int blocks;
};

/// One thread: its first channel, its first row, and how far the next one is. channel < 0: it has
/// nothing to do. The second pass over an array walks it from the end: what the first pass read
/// last is still in the cache.
struct ThreadPlace {
  int channel;
  std::int64_t row;
  std::int64_t step;
};
template <int kWidth>
DIFFPROB_HOST_DEVICE ThreadPlace place_of(const ThreadLayout& layout, int block, int thread) {
  const int row = thread / layout.lanes;
  if (row >= layout.rows_at_once) return {-1, 0, 1};
  return {(thread - row * layout.lanes) * kWidth,
          static_cast<std::int64_t>(block) * layout.rows_at_once + row,
          static_cast<std::int64_t>(layout.blocks) * layout.rows_at_once};
}

template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T value[kWidth];
};
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE Pack<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from);
}
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void store(T* to, const Pack<T, kWidth>& pack) {
  *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
}

/// Of the channels of one thread. weight, bias and slope may be null: 1, 0, no PReLU.
struct ChannelArrays {
  const double* mean;
  const double* inverse;  ///< 1 / sqrt(variance + eps)
  const float* weight;
  const float* bias;
  const float* slope;
};
template <int kWidth>
struct Channels {
  float mean[kWidth];
  float scale[kWidth];
  float shift[kWidth];
  float slope[kWidth];
};
/// The rounding of the mean goes into the shift.
template <int kWidth>
DIFFPROB_HOST_DEVICE Channels<kWidth> channels_of(const ChannelArrays& arrays, int first) {
  Channels<kWidth> out;
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    const int c = first + i;
    const double scale = arrays.inverse[c] *
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

/// BN's output before the PReLU. Forward and backward call this, so that both see the same side of
/// 0.
DIFFPROB_HOST_DEVICE float normalized_float(float x, float mean, float scale, float shift) {
  return (x - mean) * scale + shift;
}

// --- forward

/// Rows that a thread reads before it works on the first of them, so that loads wait for memory
/// together, not one after the other. As many as registers allow three blocks of 256 threads on a
/// processor.
constexpr int rows_ahead(int arrays, bool with_slope) {
  return arrays == 1 ? 4 : arrays == 2 && !with_slope ? 3 : 2;
}

/// sums += x - origin, squares += (x - origin)^2 of one row's channels.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_away(const Pack<T, kWidth>& x, const Pack<T, kWidth>& origin,
                                   float* sums, float* squares) {
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    const float away = static_cast<float>(x.value[i]) - static_cast<float>(origin.value[i]);
    sums[i] += away;
    squares[i] += away * away;
  }
}

/// The same over the rows of this thread; origin is the first row of x.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_moments(const T* __restrict__ x, const ThreadLayout& layout,
                                      const ThreadPlace& place, float* sums, float* squares) {
  constexpr int kAhead = rows_ahead(1, false);
  const auto origin = load<T, kWidth>(x + place.channel);
  for (std::int64_t top = place.row; top < layout.rows; top += kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top + k * place.step;
      values[k] =
          r < layout.rows ? load<T, kWidth>(x + r * layout.channels + place.channel) : origin;
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) add_away(values[k], origin, sums, squares);
  }
}

/// Mean and sum of squared distances from it, of one channel, from sums over all rows of (x -
/// origin) and its square.
struct Moments {
  double mean;
  double squares;
};
DIFFPROB_HOST_DEVICE Moments moments_of_sums(double sum, double square, double origin,
                                             double count) {
  const double squares = square - sum * sum / count;
  return {origin + sum / count, squares > 0 ? squares : 0};
}

/// y = prelu(BN(x)) + residual of one row's channels.
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

/// y = prelu(BN(x)) + residual over the rows of this thread, from the last to the first. With
/// moments, also what add_moments would make of y: sums += y - origin, squares += (y - origin)^2,
/// origin being the first row of y, all as y is stored.
template <class T, int kWidth, bool with_slope, bool with_residual, bool with_moments>
DIFFPROB_HOST_DEVICE void normalize(const T* __restrict__ x, const T* __restrict__ residual,
                                    const Channels<kWidth>& channels, const ThreadLayout& layout,
                                    const ThreadPlace& place, T* __restrict__ y, float* sums,
                                    float* squares) {
  constexpr int kAhead = with_moments ? 2 : rows_ahead(with_residual ? 2 : 1, with_slope);
  Pack<T, kWidth> origin{};
  if (with_moments) {
    const auto first = load<T, kWidth>(x + place.channel);
    origin = normalized_pack<T, kWidth, with_slope, with_residual>(
        first, with_residual ? load<T, kWidth>(residual + place.channel) : first, channels);
  }
  for (std::int64_t top = layout.rows - 1 - place.row; top >= 0; top -= kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> others[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      values[k] = load<T, kWidth>(x + r * layout.channels + place.channel);
      if (with_residual)
        others[k] = load<T, kWidth>(residual + r * layout.channels + place.channel);
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      const auto out =
          normalized_pack<T, kWidth, with_slope, with_residual>(values[k], others[k], channels);
      store<T, kWidth>(y + r * layout.channels + place.channel, out);
      if (with_moments) add_away(out, origin, sums, squares);
    }
  }
}

// --- backward

/// With g the gradient of BN's output: sums += g, products += g (x - mean), slopes += gradient of
/// the PReLU's slope.
template <class T, int kWidth, bool with_slope>
DIFFPROB_HOST_DEVICE void add_gradient_sums(const T* __restrict__ grad, const T* __restrict__ x,
                                            const Channels<kWidth>& channels,
                                            const ThreadLayout& layout, const ThreadPlace& place,
                                            float* sums, float* products, float* slopes) {
  constexpr int kAhead = rows_ahead(2, with_slope);
  for (std::int64_t top = place.row; top < layout.rows; top += kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> grads[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top + k * place.step;
      if (r >= layout.rows) continue;
      values[k] = load<T, kWidth>(x + r * layout.channels + place.channel);
      grads[k] = load<T, kWidth>(grad + r * layout.channels + place.channel);
    }
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      if (top + k * place.step >= layout.rows) continue;
      DIFFPROB_UNROLL(kWidth)
      for (int i = 0; i < kWidth; ++i) {
        const float value = static_cast<float>(values[k].value[i]);
        float g = static_cast<float>(grads[k].value[i]);
        if (with_slope) {
          const float z =
              normalized_float(value, channels.mean[i], channels.scale[i], channels.shift[i]);
          if (!(z > 0.0f)) {
            slopes[i] += g * z;
            g *= channels.slope[i];
          }
        }
        sums[i] += g;
        products[i] += g * (value - channels.mean[i]);
      }
    }
  }
}

/// What statistics that depend on x add to its gradient: g scale - constant - (x - mean) factor.
/// One channel; sums as add_gradient_sums makes them, over all rows; zeros when the statistics are
/// frozen.
struct StatisticsGradient {
  float constant;
  float factor;
};
DIFFPROB_HOST_DEVICE StatisticsGradient statistics_gradient(double sum, double product,
                                                            double scale, double inverse,
                                                            double count) {
  return {static_cast<float>(scale * sum / count),
          static_cast<float>(scale * inverse * inverse * product / count)};
}

/// Gradient of x, plus `extra`, over the rows of this thread, from the last to the first.
template <class T, int kWidth, bool with_slope, bool with_extra>
DIFFPROB_HOST_DEVICE void input_gradients(const T* __restrict__ grad, const T* __restrict__ x,
                                          const T* __restrict__ extra,
                                          const Channels<kWidth>& channels, const float* constant,
                                          const float* factor, const ThreadLayout& layout,
                                          const ThreadPlace& place, T* __restrict__ grad_x) {
  constexpr int kAhead = rows_ahead(with_extra ? 3 : 2, with_slope);
  for (std::int64_t top = layout.rows - 1 - place.row; top >= 0; top -= kAhead * place.step) {
    Pack<T, kWidth> values[kAhead];
    Pack<T, kWidth> grads[kAhead];
    Pack<T, kWidth> others[kAhead];
    DIFFPROB_UNROLL(kAhead)
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t r = top - k * place.step;
      if (r < 0) continue;
      values[k] = load<T, kWidth>(x + r * layout.channels + place.channel);
      grads[k] = load<T, kWidth>(grad + r * layout.channels + place.channel);
      if (with_extra) others[k] = load<T, kWidth>(extra + r * layout.channels + place.channel);
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
        float result = g * channels.scale[i] - constant[i] - (value - channels.mean[i]) * factor[i];
        if (with_extra) result += static_cast<float>(others[k].value[i]);
        out.value[i] = static_cast<T>(result);
      }
      store<T, kWidth>(grad_x + r * layout.channels + place.channel, out);
    }
  }
}

}  // namespace diffprob::model::kernels
