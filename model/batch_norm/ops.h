#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_norm/types.h"

namespace diffprob::model {

/// The passes of a batch norm over x [N, C, ...]. `slope` [C] (of the PReLU after it), `residual`
/// and `extra` (shape of x) may be undefined. Dense float32 in host memory and channels-last
/// float32, float16 and bfloat16 on a GPU (with float32 parameters) use the kernels of this room;
/// everything else uses LibTorch operators.

/// Returns [2, C] float64: means of x and sums of (x - mean)^2. `sums`, here and below: what
/// batch_normalize() computed when it wrote x; undefined: x is read once more.
[[nodiscard]] at::Tensor batch_moments(const at::Tensor& x, const at::Tensor& sums = {});

/// Moves each running average towards the batch: mean += momentum * (batch mean + what the batch
/// lacks - mean), and the variance, made unbiased first, likewise. variance [C] and count of the
/// batch are float64.
void update_running(const RunningStatistics& running, const at::Tensor& mean,
                    const at::Tensor& variance, const at::Tensor& count);

/// Computes the statistics of this rank's batch and updates the running ones.
[[nodiscard]] BatchStatistics batch_statistics(const at::Tensor& x, double eps,
                                               const RunningStatistics& running,
                                               const at::Tensor& sums = {});

/// Returns prelu(BN(x)) + residual. sums_of_output: not null where another batch norm takes the
/// output; the kernels then store there what its statistics follow from (on the host [2, C]
/// float64, on a GPU [blocks, 2, C] float32), in the pass that writes the output.
[[nodiscard]] at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine,
                                         const BatchStatistics& statistics,
                                         const at::Tensor& residual,
                                         at::Tensor* sums_of_output = nullptr);

/// Sums of the backward pass, with g the gradient of BN's output.
struct BatchGradientSums {
  at::Tensor sums;  ///< [2, C] float64: sums of g, of g (x - mean)
  /// Gradients of the parameters, in the parameters' types; undefined for parameters that are.
  at::Tensor weight, bias, slope;
};
/// Gradients of parameters are computed into `places`, where these are defined. `known`: what
/// batch_input_gradient() left in its LayerBefore when it wrote `grad`; undefined: grad and x are
/// read once more.
[[nodiscard]] BatchGradientSums batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x,
                                                    const BatchAffine& affine,
                                                    const BatchStatistics& statistics,
                                                    const BatchAffine& places = {},
                                                    const at::Tensor& known = {});

/// The batch norm without PReLU whose output x is, of x's type and layout.
struct LayerBefore {
  at::Tensor x;     ///< its input
  at::Tensor mean;  ///< [C] float64, of its statistics
  at::Tensor sums;  ///< written: what its gradient sums follow from
};

/// What the backward pass of a layer is given.
struct GivenGradients {
  at::Tensor of_output;
  at::Tensor around;  ///< what reaches x on another way; undefined: nothing does
};

/// Returns the gradient of x, with what reaches x around the layer. sums: those of
/// batch_gradient_sums, added up over all ranks when the statistics are. before: may be null; else
/// x must have batch kernels, and the layer no slope.
[[nodiscard]] at::Tensor batch_input_gradient(const GivenGradients& given, const at::Tensor& x,
                                              const BatchAffine& affine,
                                              const BatchStatistics& statistics,
                                              const at::Tensor& sums,
                                              LayerBefore* before = nullptr);

/// Returns true if the kernels of this room apply to x.
[[nodiscard]] bool has_batch_kernels(const at::Tensor& x);

}  // namespace diffprob::model
