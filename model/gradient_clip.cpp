#include "model/gradient_clip.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "model/optimizer.h"

namespace diffprob::model {

GradientNorm unscale_and_clip(const std::vector<at::Tensor>& gradients, const ClipOptions& options) {
  const at::NoGradGuard no_grad;
  if (gradients.empty()) return {at::zeros({}), at::ones({})};
  // Norms of 16-bit gradients are summed up in float32.
  const auto type = at::promote_types(gradients[0].scalar_type(), at::kFloat);
  at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2, type)), 2);
  at::Tensor factor;
  if (options.loss_scale.defined()) {
    factor = options.loss_scale.to(type).reshape({}).reciprocal();
    norm = norm * factor;
  }
  if (options.max_norm > 0) {
    // The factor stays on the device; multiplying by 1 costs less than asking the device whether it is 1.
    const at::Tensor shrink = at::add(norm, 1e-6).reciprocal_().mul_(options.max_norm).clamp_max_(1.0);
    factor = factor.defined() ? factor * shrink : shrink;
  }
  if (factor.defined()) at::_foreach_mul_(gradients, factor);
  return {norm, at::isfinite(norm).to(at::kFloat)};
}

at::Tensor clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm) {
  return unscale_and_clip(gradients_of(parameters), {max_norm, {}}).norm;
}

}  // namespace diffprob::model
