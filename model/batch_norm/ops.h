#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_norm/batch_norm.h"

namespace diffprob::model {

/// The passes of a batch norm over x [N, C, ...]; `slope` [C] (PReLU behind it), `residual` and
/// `extra` (shape of x) may be undefined. Own kernels for dense float32 in host memory, and for
/// channels-last float32, float16 and bfloat16 with float32 parameters on a GPU. All else: LibTorch
/// operators.

/// `sums` here and below: what batch_normalize() left of the batch when it wrote it; undefined: x
/// is read once more. [2, C] float64: means of x and sums of (x - mean)^2.
[[nodiscard]] at::Tensor batch_moments(const at::Tensor& x, const at::Tensor& sums = {});

/// Of a layer in training mode; undefined: not kept.
struct RunningStatistics {
  at::Tensor mean;         ///< [C]
  at::Tensor variance;     ///< [C]
  at::Tensor num_batches;  ///< [] int64
  double momentum = 0.1;
};
/// mean += momentum * (batch mean - mean), and so on; the variance without bias. variance [C] and
/// count of the batch, float64.
void update_running(const RunningStatistics& running, const at::Tensor& mean,
                    const at::Tensor& variance, const at::Tensor& count);

/// Statistics of this rank's batch; updates the running ones.
[[nodiscard]] BatchStatistics batch_statistics(const at::Tensor& x, double eps,
                                               const RunningStatistics& running,
                                               const at::Tensor& sums = {});

/// Weight and bias of a batch norm, [C], as they multiply and shift.
struct BatchAffine {
  at::Tensor weight;  ///< undefined: ones
  at::Tensor bias;    ///< undefined: zeros
  at::Tensor slope;   ///< of the PReLU behind it; undefined: none
};

/// sums_of_output: not null where another batch norm takes the output; then own kernels leave there
/// what its statistics follow from (on the host [2, C] float64, on a GPU [blocks, 2, C] float32),
/// in the pass that writes the output.
[[nodiscard]] at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine,
                                         const BatchStatistics& statistics,
                                         const at::Tensor& residual,
                                         at::Tensor* sums_of_output = nullptr);

/// With g the gradient of BN's output.
struct BatchGradientSums {
  at::Tensor sums;  ///< [2, C] float64 (or more rows): sums of g, of g (x - mean)
  at::Tensor weight, bias,
      slope;  ///< gradients of the parameters, of their types; undefined where there is none
};
[[nodiscard]] BatchGradientSums batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x,
                                                    const BatchAffine& affine,
                                                    const BatchStatistics& statistics);

/// Gradient of x, plus `extra`. sums: batch_gradient_sums, over all ranks when statistics are.
[[nodiscard]] at::Tensor batch_input_gradient(const at::Tensor& grad, const at::Tensor& x,
                                              const BatchAffine& affine,
                                              const BatchStatistics& statistics,
                                              const at::Tensor& sums, const at::Tensor& extra);

/// True where own kernels apply to x.
[[nodiscard]] bool has_batch_kernels(const at::Tensor& x);

}  // namespace diffprob::model
