#include "model/margin/angle.h"

#include <ATen/ATen.h>

namespace diffprob::model {

at::Tensor angle_of(const at::Tensor& cosine) {
  return cosine.clamp(-1.0, 1.0).acos_();
}

TargetLogits logits_at_angle(const at::Tensor& cosine, const at::Tensor& shifted, double factor,
                             double scale) {
  const at::Tensor inside = cosine.clamp(-1.0, 1.0);
  // (1 - c)(1 + c), not 1 - c^2: exact near +-1.
  const at::Tensor sine =
      inside.neg().add_(1.0).mul_(inside + 1.0).sqrt_().clamp_min_(kSmallestSine);
  return {shifted.cos().mul_(scale), shifted.sin().mul_(scale * factor).div_(sine)};
}

TargetLogits straight_through(const TargetLogits& target, double scale) {
  return {target.logits, at::full_like(target.slope, scale)};
}

TargetLogits additive_logits(const at::Tensor& cosine, const at::Tensor& margin, double scale) {
  return {cosine.sub(margin).mul_(scale), at::full_like(cosine, scale)};
}

TargetLogits additive_logits(const at::Tensor& cosine, double margin, double scale) {
  return {cosine.sub(margin).mul_(scale), at::full_like(cosine, scale)};
}

}  // namespace diffprob::model
