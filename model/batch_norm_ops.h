#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_norm.h"

namespace diffprob::model {

/// The four passes of a batch norm over x [N, C, ...]; `slope` [C] (PReLU behind it), `residual` and `extra` (shape of x) may be undefined.
/// Dense float32 in host memory: own kernels. All else: LibTorch operators.

/// [2, C] float64: means of x and sums of (x - mean)^2.
[[nodiscard]] at::Tensor batch_moments(const at::Tensor& x);

/// Weight and bias of a batch norm, [C], as they multiply and shift.
struct BatchAffine {
  at::Tensor weight;  ///< undefined: ones
  at::Tensor bias;    ///< undefined: zeros
  at::Tensor slope;   ///< of the PReLU behind it; undefined: none
};

[[nodiscard]] at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine, const BatchStatistics& statistics,
                                         const at::Tensor& residual);

/// [2, C] or, with a slope, [3, C] float64: sums of g, of g (x - mean), and the gradient of the slope; g is the gradient of BN's output.
[[nodiscard]] at::Tensor batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x, const BatchAffine& affine,
                                             const BatchStatistics& statistics);

/// Gradient of x, plus `extra`. sums: batch_gradient_sums, over all ranks when statistics are.
[[nodiscard]] at::Tensor batch_input_gradient(const at::Tensor& grad, const at::Tensor& x, const BatchAffine& affine,
                                              const BatchStatistics& statistics, const at::Tensor& sums, const at::Tensor& extra);

/// True where the kernels of batch_norm_kernels.h apply to x.
[[nodiscard]] bool has_batch_kernels(const at::Tensor& x);

}  // namespace diffprob::model
