#pragma once

#include <cstdint>

#include "model/host_device.h"

/// What one thread of the GPU's batch norm kernels does (batch_norm_gpu.cu), as plain functions: the host can run them for every thread in
/// turn, and tests compare that with LibTorch's operators.
/// x lies rows x channels (a row is a pixel, channels are beside each other), kWidth channels to a thread. A block has `lanes` threads to
/// a row and `rows_at_once` rows; all blocks walk the rows together.
namespace diffprob::model::kernels {

/// How rows and channels are dealt to threads.
struct ThreadLayout {
  std::int64_t rows;
  int channels;
  int lanes;         ///< channels / kWidth
  int rows_at_once;  ///< of a block
  int blocks;
};

/// One thread: its first channel, its first row, and how far the next one is. channel < 0: it has nothing to do.
/// The second pass over an array walks it from the end: what the first pass read last is still in the cache.
struct ThreadPlace {
  int channel;
  std::int64_t row;
  std::int64_t step;
};
template <int kWidth>
DIFFPROB_HOST_DEVICE ThreadPlace place_of(const ThreadLayout& layout, int block, int thread) {
  const int row = thread / layout.lanes;
  if (row >= layout.rows_at_once) return {-1, 0, 1};
  return {(thread - row * layout.lanes) * kWidth, static_cast<std::int64_t>(block) * layout.rows_at_once + row,
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
    const double scale = arrays.inverse[c] * (arrays.weight != nullptr ? static_cast<double>(arrays.weight[c]) : 1.0);
    out.mean[i] = static_cast<float>(arrays.mean[c]);
    out.scale[i] = static_cast<float>(scale);
    const double rounding = (static_cast<double>(out.mean[i]) - arrays.mean[c]) * scale;
    out.shift[i] = static_cast<float>(rounding + (arrays.bias != nullptr ? static_cast<double>(arrays.bias[c]) : 0.0));
    out.slope[i] = arrays.slope != nullptr ? arrays.slope[c] : 1.0f;
  }
  return out;
}

/// BN's output before the PReLU. Forward and backward call this, so that both see the same side of 0.
DIFFPROB_HOST_DEVICE float normalized_float(float x, float mean, float scale, float shift) {
  return (x - mean) * scale + shift;
}

// --- forward
// ---------------------------------------------------------------------------------------------------------------------------------

/// sums += x - origin, squares += (x - origin)^2 over the rows of this thread; origin is the first row of x.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_moments(const T* x, const ThreadLayout& layout, const ThreadPlace& place, float* sums, float* squares) {
  const auto origin = load<T, kWidth>(x + place.channel);
  DIFFPROB_UNROLL(4)
  for (std::int64_t r = place.row; r < layout.rows; r += place.step) {
    const auto values = load<T, kWidth>(x + r * layout.channels + place.channel);
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      const float away = static_cast<float>(values.value[i]) - static_cast<float>(origin.value[i]);
      sums[i] += away;
      squares[i] += away * away;
    }
  }
}

/// Mean and sum of squared distances from it, of one channel, from sums over all rows of (x - origin) and its square.
struct Moments {
  double mean;
  double squares;
};
DIFFPROB_HOST_DEVICE Moments moments_of_sums(double sum, double square, double origin, double count) {
  const double squares = square - sum * sum / count;
  return {origin + sum / count, squares > 0 ? squares : 0};
}

/// y = prelu(BN(x)) + residual over the rows of this thread. Without residual when it is null.
template <class T, int kWidth, bool with_slope>
DIFFPROB_HOST_DEVICE void normalize(const T* x, const T* residual, const Channels<kWidth>& channels, const ThreadLayout& layout,
                                    const ThreadPlace& place, T* y) {
  DIFFPROB_UNROLL(2)
  for (std::int64_t r = layout.rows - 1 - place.row; r >= 0; r -= place.step) {
    const std::int64_t at = r * layout.channels + place.channel;
    const auto values = load<T, kWidth>(x + at);
    Pack<T, kWidth> other;
    if (residual != nullptr) other = load<T, kWidth>(residual + at);
    Pack<T, kWidth> out;
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      float z = normalized_float(static_cast<float>(values.value[i]), channels.mean[i], channels.scale[i], channels.shift[i]);
      if (with_slope) z = z > 0.0f ? z : z * channels.slope[i];
      if (residual != nullptr) z += static_cast<float>(other.value[i]);
      out.value[i] = static_cast<T>(z);
    }
    store<T, kWidth>(y + at, out);
  }
}

// --- backward
// --------------------------------------------------------------------------------------------------------------------------------

/// With g the gradient of BN's output: sums += g, products += g (x - mean), slopes += gradient of the PReLU's slope.
template <class T, int kWidth, bool with_slope>
DIFFPROB_HOST_DEVICE void add_gradient_sums(const T* grad, const T* x, const Channels<kWidth>& channels, const ThreadLayout& layout,
                                            const ThreadPlace& place, float* sums, float* products, float* slopes) {
  DIFFPROB_UNROLL(2)
  for (std::int64_t r = place.row; r < layout.rows; r += place.step) {
    const std::int64_t at = r * layout.channels + place.channel;
    const auto values = load<T, kWidth>(x + at);
    const auto grads = load<T, kWidth>(grad + at);
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      const float value = static_cast<float>(values.value[i]);
      float g = static_cast<float>(grads.value[i]);
      if (with_slope) {
        const float z = normalized_float(value, channels.mean[i], channels.scale[i], channels.shift[i]);
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

/// What statistics that depend on x add to its gradient: g scale - constant - (x - mean) factor. One channel; sums as
/// add_gradient_sums makes them, over all rows; zeros when the statistics are frozen.
struct StatisticsGradient {
  float constant;
  float factor;
};
DIFFPROB_HOST_DEVICE StatisticsGradient statistics_gradient(double sum, double product, double scale, double inverse, double count) {
  return {static_cast<float>(scale * sum / count), static_cast<float>(scale * inverse * inverse * product / count)};
}

/// Gradient of x, plus `extra` when it is not null.
template <class T, int kWidth, bool with_slope>
DIFFPROB_HOST_DEVICE void input_gradients(const T* grad, const T* x, const T* extra, const Channels<kWidth>& channels,
                                          const float* constant, const float* factor, const ThreadLayout& layout, const ThreadPlace& place,
                                          T* grad_x) {
  DIFFPROB_UNROLL(2)
  for (std::int64_t r = layout.rows - 1 - place.row; r >= 0; r -= place.step) {
    const std::int64_t at = r * layout.channels + place.channel;
    const auto values = load<T, kWidth>(x + at);
    const auto grads = load<T, kWidth>(grad + at);
    Pack<T, kWidth> other;
    if (extra != nullptr) other = load<T, kWidth>(extra + at);
    Pack<T, kWidth> out;
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      const float value = static_cast<float>(values.value[i]);
      float g = static_cast<float>(grads.value[i]);
      if (with_slope) {
        const float z = normalized_float(value, channels.mean[i], channels.scale[i], channels.shift[i]);
        if (!(z > 0.0f)) g *= channels.slope[i];
      }
      float result = g * channels.scale[i] - constant[i] - (value - channels.mean[i]) * factor[i];
      if (extra != nullptr) result += static_cast<float>(other.value[i]);
      out.value[i] = static_cast<T>(result);
    }
    store<T, kWidth>(grad_x + at, out);
  }
}

}  // namespace diffprob::model::kernels
