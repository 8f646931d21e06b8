#pragma once

#include <cstdint>

/// Loops of batch norm on host memory, rows x channels x plane float32: a row is an image, a plane
/// its pixels of one channel; or, with a plane of one, a row is a pixel and its channels are beside
/// each other (channels_last). Compiled for the widest vectors of the machine; one thread each,
/// callers split the rows. What the values mean: batch_norm_math.h.
namespace diffprob::model::kernels {

struct Rows {
  std::int64_t count;
  std::int64_t channels;
  std::int64_t plane = 1;
};

/// One value a channel each.
struct ChannelAffine {
  const float* mean;
  const float* scale;
  const float* shift;
};

/// sums[c] += sum of x, squares[c] += sum of x^2, in float64.
void add_moments(const float* x, Rows rows, double* sums, double* squares);

/// y = prelu(normalized(x)) + residual. Without PReLU when slope is null, without sum when residual
/// is null.
void normalize(const float* x, const float* slope, const float* residual, ChannelAffine affine,
               Rows rows, float* y);

/// In float64, with g the gradient of z: sums[c] += sum of g, products[c] += sum of g (x - mean),
/// slopes[c] += gradient of the slope. slope (and then slopes) may be null: no PReLU.
void add_gradient_sums(const float* grad, const float* x, const float* slope, ChannelAffine affine,
                       Rows rows, double* sums, double* products, double* slopes);

/// grad_x = input_gradient(g, x) + extra; slope and extra may be null. One value a channel of
/// constant and factor.
void input_gradients(const float* grad, const float* x, const float* slope, const float* extra,
                     ChannelAffine affine, const float* constant, const float* factor, Rows rows,
                     float* grad_x);

}  // namespace diffprob::model::kernels
