#include "model/margin/curricular.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <numbers>

#include "model/margin/angle.h"

namespace diffprob::model {
namespace {

/// `angular` are the logits s cos(theta + m) of the same cosines.
TargetLogits guarded(const at::Tensor& cosine, const TargetLogits& angular, double margin,
                     double scale) {
  const at::Tensor below_pi = cosine > std::cos(std::numbers::pi - margin);
  const TargetLogits beyond =
      additive_logits(cosine, std::sin(std::numbers::pi - margin) * margin, scale);
  return {at::where(below_pi, angular.logits, beyond.logits),
          at::where(below_pi, angular.slope, beyond.slope)};
}

TargetLogits angular_target(const at::Tensor& cosine, double margin, double scale) {
  return logits_at_angle(cosine, angle_of(cosine).add_(margin), 1.0, scale);
}

}  // namespace

TargetLogits curricular_target(const at::Tensor& target_cosine, double margin, double scale) {
  return guarded(target_cosine, angular_target(target_cosine, margin, scale), margin, scale);
}

CurricularMargin::CurricularMargin(const MarginOptions& options, at::Device device)
    : Margin(options), t_(at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device))) {}

TargetLogits CurricularMargin::do_target(const MarginBatch& batch) {
  const at::Tensor& cosine = batch.target_cosine;
  const double momentum = options().curricular_momentum;
  const at::Tensor updated = t_.mul(1.0 - momentum).add_(cosine.mean().to(at::kDouble), momentum);
  t_.copy_(at::where(updated.isfinite(), updated, t_));
  const TargetLogits angular = angular_target(cosine, options().margin, options().scale);
  // Without the guard, as the released code.
  threshold_ = batch.own(angular.logits).div(options().scale).unsqueeze(1);
  return guarded(cosine, angular, options().margin, options().scale);
}

void CurricularMargin::do_non_targets(at::Tensor& cosines) const {
  TORCH_CHECK(threshold_.defined(), "CurricularFace: non_targets() before target()");
  // A zero-dimensional t does not widen float32 cosines.
  at::Tensor factor = cosines.add(t_);
  factor.masked_fill_(cosines <= threshold_.to(cosines.scalar_type()), 1.0);
  cosines.mul_(factor);
}

at::Tensor CurricularMargin::do_non_target_slope(const at::Tensor& cosines) const {
  TORCH_CHECK(threshold_.defined(), "CurricularFace: non_target_slope() before target()");
  return cosines.mul(2.0).add_(t_).masked_fill_(cosines <= threshold_.to(cosines.scalar_type()),
                                                1.0);
}

}  // namespace diffprob::model
