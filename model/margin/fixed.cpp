#include "model/margin/fixed.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "model/margin/angle.h"

namespace diffprob::model {
namespace {

/// s cos(theta + margin).
TargetLogits angular_target(const at::Tensor& cosine, double margin, const MarginOptions& options) {
  const TargetLogits exact =
      logits_at_angle(cosine, angle_of(cosine).add_(margin), 1.0, options.scale);
  return options.preset == LossPreset::kArcfaceTorch ? straight_through(exact, options.scale)
                                                     : exact;
}

TargetLogits combined_target(const at::Tensor& cosine, const MarginOptions& options) {
  if (options.preset == LossPreset::kArcfaceTorch) {
    return options.m3 > 0.0 ? additive_logits(cosine, options.m3, options.scale)
                            : angular_target(cosine, options.m2, options);
  }
  // Without angles the slope is exactly s, at +-1 too.
  if (options.m1 == 1.0 && options.m2 == 0.0)
    return additive_logits(cosine, options.m3, options.scale);
  TargetLogits target = logits_at_angle(cosine, angle_of(cosine).mul_(options.m1).add_(options.m2),
                                        options.m1, options.scale);
  target.logits.sub_(options.scale * options.m3);
  return target;
}

}  // namespace

TargetLogits fixed_target(const at::Tensor& target_cosine, const MarginOptions& options) {
  switch (options.kind) {
    case MarginKind::kNone:
      return additive_logits(target_cosine, 0.0, options.scale);
    case MarginKind::kCosFace:
      return additive_logits(target_cosine, options.margin, options.scale);
    case MarginKind::kArcFace:
      return angular_target(target_cosine, options.margin, options);
    case MarginKind::kCombined:
      return combined_target(target_cosine, options);
    default:
      TORCH_CHECK(false, "margin \"", margin_name(options.kind), "\" is not a fixed margin");
  }
}

}  // namespace diffprob::model
