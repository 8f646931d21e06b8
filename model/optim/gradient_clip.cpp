#include "model/optim/gradient_clip.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace diffprob::model {

GradientNorm gradient_norm(const std::vector<at::Tensor>& gradients, const ClipOptions& options) {
  const at::NoGradGuard no_grad;
  if (gradients.empty()) return {at::zeros({}), at::ones({}), {}};
  // Norms of 16-bit gradients are summed up in float32.
  const auto type = at::promote_types(gradients[0].scalar_type(), at::kFloat);
  at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2, type)), 2);
  at::Tensor divisor;
  if (options.loss_scale.defined()) {
    divisor = options.loss_scale.to(type).reshape({});
    norm = norm / divisor;
  }
  if (options.max_norm > 0) {
    // It stays on the device; dividing by 1 costs less than asking the device whether it is 1.
    const at::Tensor excess = at::add(norm, 1e-6).div_(options.max_norm).clamp_min_(1.0);
    divisor = divisor.defined() ? divisor * excess : excess;
  }
  return {norm, at::isfinite(norm).to(at::kFloat), divisor};
}

}  // namespace diffprob::model
