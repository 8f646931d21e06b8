#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

struct ClipOptions {
  double max_norm = 0;    ///< of all gradients together; 0: no clipping
  at::Tensor loss_scale;  ///< scalar on the gradients' device that the loss was multiplied with; undefined: 1
};

/// Scalars on the gradients' device; the host waits for nothing.
struct GradientNorm {
  at::Tensor norm;    ///< joint L2 norm, loss scale taken out, before clipping
  at::Tensor finite;  ///< float32, 1 or 0: whether the norm is a number (a norm beyond float32 counts as infinite)
};

/// Norm of the gradients; takes the loss scale out and clips, in one pass over them (none when there is nothing to do). PyTorch's rule:
/// factor max_norm / (norm + 1e-6), at most 1. With a norm that is not finite the gradients are spoilt: skip the update by `finite`
/// (StepControl::apply), after a reduction over the ranks.
GradientNorm unscale_and_clip(const std::vector<at::Tensor>& gradients, const ClipOptions& options);

/// The same on the gradients of parameters, without a loss scale. Returns the norm before clipping.
at::Tensor clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm);

}  // namespace diffprob::model
