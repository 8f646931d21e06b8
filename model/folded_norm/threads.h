#pragma once

#include <cstdint>

#include "model/batch_norm/threads.h"
#include "model/kernels/host_device.h"
#include "model/kernels/pack.h"

/// What one thread of the kernels of a folded batch norm does (gpu.cu), as plain functions. ops.h
/// says what the arrays mean. A weight [K, C, 3, 3] lies channels-last: row 9 k + tap has C
/// numbers, and so have the rows of x and y, which are pixels.
namespace diffprob::model::gpu::thread {

constexpr int kTaps = 9;  ///< of a 3x3 convolution, row by row

/// Which taps of a pixel lie outside of the picture: one bit a side. The tables of ops.h have a row
/// for each code.
enum BorderCode : int { kTop = 1, kBottom = 2, kLeft = 4, kRight = 8, kBorderCodes = 16 };
DIFFPROB_HOST_DEVICE bool is_outside(int tap, int code) {
  const int row = tap / 3, column = tap % 3;
  return (row == 0 && (code & kTop) != 0) || (row == 2 && (code & kBottom) != 0) ||
         (column == 0 && (code & kLeft) != 0) || (column == 2 && (code & kRight) != 0);
}

/// Pictures of rows x columns pixels with `channels` numbers each.
struct Pictures {
  std::int64_t count;
  int rows;
  int columns;
  int channels;
};

/// A side is a run of pixels; corners belong to two.
enum class Side : int { kTop, kBottom, kLeft, kRight, kSides };
struct Pixel {
  int row;
  int column;
};
DIFFPROB_HOST_DEVICE int pixels_of_side(const Pictures& pictures, Side side) {
  return side == Side::kTop || side == Side::kBottom ? pictures.columns : pictures.rows;
}
DIFFPROB_HOST_DEVICE Pixel pixel_of_side(const Pictures& pictures, Side side, int i) {
  if (side == Side::kTop) return {0, i};
  if (side == Side::kBottom) return {pictures.rows - 1, i};
  return {i, side == Side::kLeft ? 0 : pictures.columns - 1};
}

/// The pixels on the border of a picture, each once.
DIFFPROB_HOST_DEVICE int border_pixels(const Pictures& pictures) {
  if (pictures.rows == 1) return pictures.columns;
  if (pictures.columns == 1) return pictures.rows;
  return 2 * (pictures.columns + pictures.rows - 2);
}
DIFFPROB_HOST_DEVICE Pixel border_pixel(const Pictures& pictures, int i) {
  if (i < pictures.columns) return {0, i};
  if (pictures.columns == 1) return {i, 0};
  if (i < 2 * pictures.columns) return {pictures.rows - 1, i - pictures.columns};
  const int rest = i - 2 * pictures.columns;
  return {1 + rest / 2, rest % 2 == 0 ? 0 : pictures.columns - 1};
}
DIFFPROB_HOST_DEVICE int border_code(const Pictures& pictures, Pixel pixel) {
  return (pixel.row == 0 ? kTop : 0) | (pixel.row == pictures.rows - 1 ? kBottom : 0) |
         (pixel.column == 0 ? kLeft : 0) | (pixel.column == pictures.columns - 1 ? kRight : 0);
}
DIFFPROB_HOST_DEVICE std::int64_t element_of(const Pictures& pictures, std::int64_t picture,
                                             Pixel pixel) {
  return ((picture * pictures.rows + pixel.row) * pictures.columns + pixel.column) *
         pictures.channels;
}

/// The batch norm as it is folded: scale x + shift.
struct FoldTerms {
  float scale;
  float shift;
};
DIFFPROB_HOST_DEVICE FoldTerms fold_terms(const ChannelArrays& arrays, int c) {
  const double scale =
      arrays.inv_std[c] * (arrays.weight != nullptr ? static_cast<double>(arrays.weight[c]) : 1.0);
  const double bias = arrays.bias != nullptr ? static_cast<double>(arrays.bias[c]) : 0.0;
  return {static_cast<float>(scale), static_cast<float>(bias - arrays.mean[c] * scale)};
}

/// Writes weight * scale of one row, every `lanes`-th pack of it, and returns the sum of weight *
/// shift of these.
template <class T>
DIFFPROB_HOST_DEVICE float fold_row(const float* __restrict__ weight, const ChannelArrays& arrays,
                                    int channels, int lane, int lanes, T* __restrict__ folded) {
  constexpr int kWidth = 4;
  float sum = 0;
  for (int c = lane * kWidth; c < channels; c += lanes * kWidth) {
    const auto values = load<float, kWidth>(weight + c);
    Pack<T, kWidth> out;
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      const FoldTerms terms = fold_terms(arrays, c + i);
      out.value[i] = static_cast<T>(values.value[i] * terms.scale);
      sum += values.value[i] * terms.shift;
    }
    store<T, kWidth>(folded + c, out);
  }
  return sum;
}

/// Returns what a pixel of this code lacks beside one in the middle, given the sums of weight *
/// shift of the taps: those outside of the picture, taken off.
DIFFPROB_HOST_DEVICE float border_term(const float* taps, int code) {
  float sum = 0;
  DIFFPROB_UNROLL(kTaps)
  for (int tap = 0; tap < kTaps; ++tap) sum -= is_outside(tap, code) ? taps[tap] : 0.0f;
  return sum;
}

/// Adds border [codes, channels] to one pack of one border pixel of y, the `item`-th of all.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_border(const float* __restrict__ border, const Pictures& pictures,
                                     std::int64_t item, T* __restrict__ y) {
  const int lanes = pictures.channels / kWidth;
  const int pixels = border_pixels(pictures);
  const auto channel = static_cast<int>(item % lanes) * kWidth;
  const std::int64_t row = item / lanes;
  const Pixel pixel = border_pixel(pictures, static_cast<int>(row % pixels));
  T* at = y + element_of(pictures, row / pixels, pixel) + channel;
  const float* terms = border + border_code(pictures, pixel) * pictures.channels + channel;
  auto values = load<T, kWidth>(at);
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i)
    values.value[i] = static_cast<T>(static_cast<float>(values.value[i]) + terms[i]);
  store<T, kWidth>(at, values);
}

/// What the pixels of one side add up to, of one channel: all, its first and its last.
enum SideSum : int { kAll, kFirst, kLast, kSideSums };

/// Adds the pixels of this thread: its rows are those of one side of all pictures.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void add_side(const T* __restrict__ grad, const Pictures& pictures, Side side,
                                   const ThreadPlace& place, float (&sums)[kSideSums][kWidth]) {
  const int pixels = pixels_of_side(pictures, side);
  for (std::int64_t r = place.row; r < place.rows; r += place.step) {
    const auto i = static_cast<int>(r % pixels);
    const auto values = load<T, kWidth>(
        grad + element_of(pictures, r / pixels, pixel_of_side(pictures, side, i)) + place.channel);
    DIFFPROB_UNROLL(kWidth)
    for (int k = 0; k < kWidth; ++k) {
      const float value = static_cast<float>(values.value[k]);
      sums[kAll][k] += value;
      if (i == 0) sums[kFirst][k] += value;
      if (i == pixels - 1) sums[kLast][k] += value;
    }
  }
}

/// The same, added up over the blocks.
struct SideSums {
  double all;
  double first;
  double last;
};

/// Returns the sum of the gradient over the pixels whose `tap` lies inside, of one channel, given
/// the sums of its sides: that over all pixels is zero, since a batch norm follows.
DIFFPROB_HOST_DEVICE float sum_inside(const SideSums& top, const SideSums& bottom,
                                      const SideSums& left, const SideSums& right, int tap) {
  const int row = tap / 3, column = tap % 3;
  double outside = 0;
  if (row != 1) outside += row == 0 ? top.all : bottom.all;
  if (column != 1) outside += column == 0 ? left.all : right.all;
  if (row == 0 && column != 1) outside -= column == 0 ? top.first : top.last;
  if (row == 2 && column != 1) outside -= column == 0 ? bottom.first : bottom.last;
  return static_cast<float>(-outside);
}

/// Channels of one thread of weight_gradients().
template <int kWidth>
struct FoldedChannels {
  float mean[kWidth];
  float scale[kWidth];
  float shift[kWidth];
};
template <int kWidth>
DIFFPROB_HOST_DEVICE FoldedChannels<kWidth> folded_channels(const ChannelArrays& arrays,
                                                            int first) {
  FoldedChannels<kWidth> out;
  DIFFPROB_UNROLL(kWidth)
  for (int i = 0; i < kWidth; ++i) {
    const FoldTerms terms = fold_terms(arrays, first + i);
    out.mean[i] = static_cast<float>(arrays.mean[first + i]);
    out.scale[i] = terms.scale;
    out.shift[i] = terms.shift;
  }
  return out;
}

/// Writes the gradient of the weight over the rows of this thread: scale * (the convolution's
/// gradient of its weight with x as the input) + shift * inside[row]. Adds what
/// add_gradient_sums() would find for the batch norm, with g the gradient of its output: sums[0] +=
/// g, sums[1] += g (x - mean).
template <class T, int kWidth>
// NOLINTNEXTLINE(readability-function-size): arrays must be parameters (batch_norm/threads.h)
DIFFPROB_HOST_DEVICE void weight_gradients(const float* __restrict__ weight,
                                           const T* __restrict__ with_x,
                                           const float* __restrict__ inside,
                                           const FoldedChannels<kWidth>& channels,
                                           const ThreadPlace& place, float* __restrict__ out,
                                           float (&sums)[2][kWidth]) {
  for (std::int64_t r = place.row; r < place.rows; r += place.step) {
    const std::int64_t at = r * place.channels + place.channel;
    const auto values = load<float, kWidth>(weight + at);
    const auto products = load<T, kWidth>(with_x + at);
    const float sum = inside[r];
    Pack<float, kWidth> gradient;
    DIFFPROB_UNROLL(kWidth)
    for (int i = 0; i < kWidth; ++i) {
      const float product = static_cast<float>(products.value[i]);
      gradient.value[i] = channels.scale[i] * product + channels.shift[i] * sum;
      sums[0][i] += values.value[i] * sum;
      sums[1][i] += values.value[i] * (product - channels.mean[i] * sum);
    }
    store<float, kWidth>(out + at, gradient);
  }
}

}  // namespace diffprob::model::gpu::thread
