#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

struct ClipOptions {
  double max_norm = 0;    ///< of all gradients together; 0: no clipping
  at::Tensor loss_scale;  ///< scalar on the gradients' device that the loss was multiplied with;
                          ///< undefined: 1
};

/// Scalars on the gradients' device; the host waits for nothing.
struct GradientNorm {
  at::Tensor norm;     ///< joint L2 norm, loss scale taken out, before clipping
  at::Tensor finite;   ///< float32, 1 or 0: whether the norm is a number (a norm beyond float32
                       ///< counts as infinite)
  at::Tensor divisor;  ///< what takes the loss scale out and clips; undefined: nothing to do
};

/// Reads the gradients once and leaves them: the optimiser divides them in its own pass
/// (StepControl::gradient_divisor). PyTorch's rule of clipping: divisor (norm + 1e-6) / max_norm,
/// at least 1. With a norm that is not finite the divisor is of no use: skip the update by `finite`
/// (StepControl::apply), after a reduction over the ranks.
[[nodiscard]] GradientNorm gradient_norm(const std::vector<at::Tensor>& gradients,
                                         const ClipOptions& options);

}  // namespace diffprob::model
