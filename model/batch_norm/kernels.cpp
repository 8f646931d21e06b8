#include "model/batch_norm/kernels.h"

#include <algorithm>

#include "model/batch_norm/arithmetic.h"
#include "model/kernels/vector_dispatch.h"

namespace diffprob::model::host {
namespace {

/// Channels whose sums stay in registers.
constexpr std::int64_t kLanes = 16;
/// Rows added in float32 before they go to the float64 sums.
constexpr std::int64_t kSumBlock = 16;
/// A tile of rows is walked once for each group of lanes, so it should stay in the first cache.
constexpr std::int64_t kTileFloats = 4096;

std::int64_t tile_rows(Rows rows) {
  return std::max<std::int64_t>(8, kTileFloats / rows.channels);
}

/// Sums up differences from the first row: what float32 loses is then small compared with the
/// standard deviation, not only with the mean.
template <std::int64_t lanes>
DIFFPROB_HOST_DEVICE void moments_of(const float* __restrict x, std::int64_t count,
                                     std::int64_t stride, double* __restrict sums,
                                     double* __restrict squares) {
  float origin[lanes];
  for (std::int64_t l = 0; l < lanes; ++l) origin[l] = x[l];
  double sum[lanes] = {};
  double square[lanes] = {};
  for (std::int64_t top = 0; top < count; top += kSumBlock) {
    float block_sum[lanes] = {};
    float block_square[lanes] = {};
    for (std::int64_t r = top; r < std::min(count, top + kSumBlock); ++r) {
      for (std::int64_t l = 0; l < lanes; ++l) {
        const float value = x[r * stride + l] - origin[l];
        block_sum[l] += value;
        block_square[l] += value * value;
      }
    }
    for (std::int64_t l = 0; l < lanes; ++l) sum[l] += static_cast<double>(block_sum[l]);
    for (std::int64_t l = 0; l < lanes; ++l) square[l] += static_cast<double>(block_square[l]);
  }
  for (std::int64_t l = 0; l < lanes; ++l) {
    const double from = origin[l];
    sums[l] += sum[l] + static_cast<double>(count) * from;
    squares[l] += square[l] + from * (2 * sum[l] + static_cast<double>(count) * from);
  }
}

DIFFPROB_HOST_DEVICE void moments_body(const float* x, Rows rows, std::int64_t tile, double* sums,
                                       double* squares) {
  for (std::int64_t top = 0; top < rows.count; top += tile) {
    const std::int64_t count = std::min(tile, rows.count - top);
    const float* first = x + top * rows.channels;
    std::int64_t c = 0;
    for (; c + kLanes <= rows.channels; c += kLanes)
      moments_of<kLanes>(first + c, count, rows.channels, sums + c, squares + c);
    for (; c < rows.channels; ++c)
      moments_of<1>(first + c, count, rows.channels, sums + c, squares + c);
  }
}

template <bool with_slope, bool with_residual>
DIFFPROB_HOST_DEVICE void normalize_body(Arrays arrays, ChannelTerms terms, Rows rows) {
  const float* __restrict x = arrays.x;
  const float* __restrict residual = arrays.residual;
  float* __restrict y = arrays.out;
  const float* __restrict mean = terms.mean;
  const float* __restrict scale = terms.scale;
  const float* __restrict shift = terms.shift;
  const float* __restrict slope = terms.slope;
  for (std::int64_t r = 0; r < rows.count; ++r) {
    const std::int64_t at = r * rows.channels;
    for (std::int64_t c = 0; c < rows.channels; ++c) {
      float z = normalized(x[at + c], mean[c], scale[c], shift[c]);
      if constexpr (with_slope) z = prelu(z, slope[c]);
      if constexpr (with_residual) z += residual[at + c];
      y[at + c] = z;
    }
  }
}

/// The same arrays from another element, or the same terms from another channel, on.
DIFFPROB_HOST_DEVICE Arrays from_element(const Arrays& arrays, std::int64_t at) {
  return {arrays.x + at, arrays.grad + at};
}
DIFFPROB_HOST_DEVICE ChannelTerms from_channel(const ChannelTerms& terms, std::int64_t c) {
  return {terms.mean + c, terms.scale + c, terms.shift + c,
          terms.slope != nullptr ? terms.slope + c : nullptr};
}

template <bool with_slope, std::int64_t lanes>
DIFFPROB_HOST_DEVICE void gradient_sums_of(const Arrays& arrays, const ChannelTerms& terms,
                                           Rows rows, const GradientSums& out) {
  const float* __restrict x = arrays.x;
  const float* __restrict grad = arrays.grad;
  const float* __restrict slope = terms.slope;
  double sum[lanes] = {};
  double product[lanes] = {};
  double slope_sum[lanes] = {};
  for (std::int64_t top = 0; top < rows.count; top += kSumBlock) {
    float block_sum[lanes] = {};
    float block_product[lanes] = {};
    float block_slope[lanes] = {};
    for (std::int64_t r = top; r < std::min(rows.count, top + kSumBlock); ++r) {
      for (std::int64_t l = 0; l < lanes; ++l) {
        const float value = x[r * rows.channels + l];
        float g = grad[r * rows.channels + l];
        if constexpr (with_slope) {
          const float z = normalized(value, terms.mean[l], terms.scale[l], terms.shift[l]);
          block_slope[l] += slope_gradient(g, z);
          g = prelu_gradient(g, z, slope[l]);
        }
        block_sum[l] += g;
        block_product[l] += g * (value - terms.mean[l]);
      }
    }
    for (std::int64_t l = 0; l < lanes; ++l) sum[l] += static_cast<double>(block_sum[l]);
    for (std::int64_t l = 0; l < lanes; ++l) product[l] += static_cast<double>(block_product[l]);
    for (std::int64_t l = 0; l < lanes; ++l) slope_sum[l] += static_cast<double>(block_slope[l]);
  }
  for (std::int64_t l = 0; l < lanes; ++l) {
    out.sums[l] += sum[l];
    out.products[l] += product[l];
    if constexpr (with_slope) out.slopes[l] += slope_sum[l];
  }
}

template <bool with_slope, std::int64_t lanes>
DIFFPROB_HOST_DEVICE void gradient_sums_at(std::int64_t c, const Arrays& arrays,
                                           const ChannelTerms& terms, Rows rows,
                                           const GradientSums& out) {
  gradient_sums_of<with_slope, lanes>(
      from_element(arrays, c), from_channel(terms, c), rows,
      {out.sums + c, out.products + c, with_slope ? out.slopes + c : out.slopes});
}

template <bool with_slope>
DIFFPROB_HOST_DEVICE void gradient_sums_body(Arrays arrays, ChannelTerms terms, Rows rows,
                                             std::int64_t tile, GradientSums out) {
  for (std::int64_t top = 0; top < rows.count; top += tile) {
    const Rows part = {std::min(tile, rows.count - top), rows.channels};
    const Arrays here = from_element(arrays, top * rows.channels);
    std::int64_t c = 0;
    for (; c + kLanes <= rows.channels; c += kLanes)
      gradient_sums_at<with_slope, kLanes>(c, here, terms, part, out);
    for (; c < rows.channels; ++c) gradient_sums_at<with_slope, 1>(c, here, terms, part, out);
  }
}

template <bool with_slope, bool with_residual>
DIFFPROB_HOST_DEVICE void input_gradients_body(Arrays arrays, ChannelTerms terms, Rows rows) {
  const float* __restrict grad = arrays.grad;
  const float* __restrict x = arrays.x;
  const float* __restrict residual = arrays.residual;
  float* __restrict grad_x = arrays.out;
  const float* __restrict mean = terms.mean;
  const float* __restrict scale = terms.scale;
  const float* __restrict shift = terms.shift;
  const float* __restrict slope = terms.slope;
  const float* __restrict constant = terms.constant;
  const float* __restrict factor = terms.factor;
  for (std::int64_t r = 0; r < rows.count; ++r) {
    const std::int64_t at = r * rows.channels;
    for (std::int64_t c = 0; c < rows.channels; ++c) {
      const float value = x[at + c];
      float g = grad[at + c];
      if constexpr (with_slope)
        g = prelu_gradient(g, normalized(value, mean[c], scale[c], shift[c]), slope[c]);
      g = input_gradient(g, value, mean[c], scale[c], constant[c], factor[c]);
      if constexpr (with_residual) g += residual[at + c];
      grad_x[at + c] = g;
    }
  }
}

template <std::int64_t lanes>
DIFFPROB_HOST_DEVICE double sum_of(const double (&values)[lanes]) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

DIFFPROB_HOST_DEVICE void plane_moments_body(const float* x, Rows rows, double* sums,
                                             double* squares) {
  const std::int64_t whole = rows.plane / kLanes;
  for (std::int64_t i = 0; i < rows.count * rows.channels; ++i) {
    const float* plane = x + i * rows.plane;
    const std::int64_t c = i % rows.channels;
    double sum[kLanes] = {};
    double square[kLanes] = {};
    if (whole > 0) moments_of<kLanes>(plane, whole, kLanes, sum, square);
    sums[c] += sum_of(sum);
    squares[c] += sum_of(square);
    const std::int64_t tail = rows.plane - whole * kLanes;
    if (tail > 0) moments_of<1>(plane + whole * kLanes, tail, 1, sums + c, squares + c);
  }
}

template <bool with_slope, bool with_residual>
DIFFPROB_HOST_DEVICE void plane_normalize_body(Arrays arrays, ChannelTerms terms, Rows rows) {
  const float* __restrict x = arrays.x;
  const float* __restrict residual = arrays.residual;
  float* __restrict y = arrays.out;
  for (std::int64_t i = 0; i < rows.count * rows.channels; ++i) {
    const std::int64_t c = i % rows.channels;
    const float mean = terms.mean[c], scale = terms.scale[c], shift = terms.shift[c];
    const float slope = with_slope ? terms.slope[c] : 0.0f;
    for (std::int64_t at = i * rows.plane; at < (i + 1) * rows.plane; ++at) {
      float z = normalized(x[at], mean, scale, shift);
      if constexpr (with_slope) z = prelu(z, slope);
      if constexpr (with_residual) z += residual[at];
      y[at] = z;
    }
  }
}

template <bool with_slope>
DIFFPROB_HOST_DEVICE void plane_gradient_sums_body(Arrays arrays, ChannelTerms terms, Rows rows,
                                                   GradientSums out) {
  const std::int64_t whole = rows.plane / kLanes;
  for (std::int64_t i = 0; i < rows.count * rows.channels; ++i) {
    const std::int64_t c = i % rows.channels;
    float mean[kLanes], scale[kLanes], shift[kLanes], slope[kLanes];
    for (std::int64_t l = 0; l < kLanes; ++l) {
      mean[l] = terms.mean[c];
      scale[l] = terms.scale[c];
      shift[l] = terms.shift[c];
      slope[l] = with_slope ? terms.slope[c] : 0.0f;
    }
    double sum[kLanes] = {}, product[kLanes] = {}, slope_sum[kLanes] = {};
    const ChannelTerms lanes = {mean, scale, shift, slope};
    const std::int64_t at = i * rows.plane;
    const std::int64_t tail = at + whole * kLanes;
    gradient_sums_of<with_slope, kLanes>(from_element(arrays, at), lanes, {whole, kLanes},
                                         {sum, product, slope_sum});
    gradient_sums_of<with_slope, 1>(from_element(arrays, tail), lanes, {at + rows.plane - tail, 1},
                                    {sum, product, slope_sum});
    out.sums[c] += sum_of(sum);
    out.products[c] += sum_of(product);
    if constexpr (with_slope) out.slopes[c] += sum_of(slope_sum);
  }
}

template <bool with_slope, bool with_residual>
DIFFPROB_HOST_DEVICE void plane_input_gradients_body(Arrays arrays, ChannelTerms terms, Rows rows) {
  const float* __restrict grad = arrays.grad;
  const float* __restrict x = arrays.x;
  const float* __restrict residual = arrays.residual;
  float* __restrict grad_x = arrays.out;
  for (std::int64_t i = 0; i < rows.count * rows.channels; ++i) {
    const std::int64_t c = i % rows.channels;
    const float mean = terms.mean[c], scale = terms.scale[c], shift = terms.shift[c],
                constant = terms.constant[c], factor = terms.factor[c];
    const float slope = with_slope ? terms.slope[c] : 0.0f;
    for (std::int64_t at = i * rows.plane; at < (i + 1) * rows.plane; ++at) {
      const float value = x[at];
      float g = grad[at];
      if constexpr (with_slope) g = prelu_gradient(g, normalized(value, mean, scale, shift), slope);
      g = input_gradient(g, value, mean, scale, constant, factor);
      if constexpr (with_residual) g += residual[at];
      grad_x[at] = g;
    }
  }
}

/// Calls `with` with two compile-time constants that say which of two optional arrays are present.
template <class With>
void by_presence(const float* first, const float* second, const With& with) {
  if (first != nullptr && second != nullptr) return with.template operator()<true, true>();
  if (first != nullptr) return with.template operator()<true, false>();
  if (second != nullptr) return with.template operator()<false, true>();
  with.template operator()<false, false>();
}

}  // namespace

void add_moments(const float* x, Rows rows, double* sums, double* squares) {
  if (rows.plane > 1) return run_widest<plane_moments_body>(x, rows, sums, squares);
  run_widest<moments_body>(x, rows, tile_rows(rows), sums, squares);
}

void normalize(const Arrays& arrays, const ChannelTerms& terms, Rows rows) {
  by_presence(terms.slope, arrays.residual, [&]<bool with_slope, bool with_residual>() {
    if (rows.plane > 1)
      return run_widest<plane_normalize_body<with_slope, with_residual>>(arrays, terms, rows);
    run_widest<normalize_body<with_slope, with_residual>>(arrays, terms, rows);
  });
}

void add_gradient_sums(const Arrays& arrays, const ChannelTerms& terms, Rows rows,
                       const GradientSums& out) {
  by_presence(terms.slope, nullptr, [&]<bool with_slope, bool>() {
    if (rows.plane > 1)
      return run_widest<plane_gradient_sums_body<with_slope>>(arrays, terms, rows, out);
    run_widest<gradient_sums_body<with_slope>>(arrays, terms, rows, tile_rows(rows), out);
  });
}

void input_gradients(const Arrays& arrays, const ChannelTerms& terms, Rows rows) {
  by_presence(terms.slope, arrays.residual, [&]<bool with_slope, bool with_residual>() {
    if (rows.plane > 1)
      return run_widest<plane_input_gradients_body<with_slope, with_residual>>(arrays, terms, rows);
    run_widest<input_gradients_body<with_slope, with_residual>>(arrays, terms, rows);
  });
}

}  // namespace diffprob::model::host
