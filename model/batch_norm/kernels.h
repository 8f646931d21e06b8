#pragma once

#include <cstdint>

/// Loops of batch norm on host memory, compiled for the widest vectors of the machine. One thread
/// each; callers split the rows. arithmetic.h says what the terms of a channel mean.
namespace diffprob::model::host {

/// Shape of a batch, rows x channels x plane float32: a row is an image, a plane its pixels of one
/// channel. With a plane of one (channels last), a row is a pixel and its channels are adjacent.
struct Rows {
  std::int64_t count;
  std::int64_t channels;
  std::int64_t plane = 1;
};

/// Arrays of the shape of the batch. A pass reads and writes those that it names.
struct Arrays {
  const float* x;
  const float* grad = nullptr;      ///< gradient of the output
  const float* residual = nullptr;  ///< added to what is written; null: nothing is
  float* out = nullptr;             ///< y, or the gradient of x
};

/// Terms of the arithmetic, one value per channel each.
struct ChannelTerms {
  const float* mean;
  const float* scale;
  const float* shift;
  const float* slope = nullptr;     ///< null: no PReLU
  const float* constant = nullptr;  ///< of input_gradients() only
  const float* factor = nullptr;    ///< of input_gradients() only
};

/// sums[c] += sum of x, squares[c] += sum of x^2, in float64.
void add_moments(const float* x, Rows rows, double* sums, double* squares);

/// out = prelu(normalized(x)) + residual.
void normalize(const Arrays& arrays, const ChannelTerms& terms, Rows rows);

/// Sums of the backward pass in float64, with g the gradient of z, one value per channel each.
struct GradientSums {
  double* sums;              ///< += sum of g
  double* products;          ///< += sum of g (x - mean)
  double* slopes = nullptr;  ///< += gradient of the slope; null: no PReLU
};
void add_gradient_sums(const Arrays& arrays, const ChannelTerms& terms, Rows rows,
                       const GradientSums& out);

/// out = input_gradient(g, x) + residual, with g the gradient of z.
void input_gradients(const Arrays& arrays, const ChannelTerms& terms, Rows rows);

}  // namespace diffprob::model::host
