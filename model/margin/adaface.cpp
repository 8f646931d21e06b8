#include "model/margin/adaface.h"

#include <ATen/ATen.h>

#include <limits>
#include <numbers>

#include "model/margin/angle.h"

namespace diffprob::model {
namespace {

constexpr double kInitialMean = 20.0;
constexpr double kInitialDeviation = 100.0;
constexpr double kReleasedEpsilon = 1e-3;
constexpr double kSmallestNorm = 1e-3;
constexpr double kLargestNorm = 100.0;
constexpr double kSmallestDeviation = 1e-9;  // equal norms: z = 0, not 0 / 0

}  // namespace

AdaFaceRules adaface_rules(const MarginOptions& options) {
  switch (options.preset) {
    case LossPreset::kReference:
      return {.epsilon = kReleasedEpsilon,
              .sigma_epsilon = kReleasedEpsilon,
              .unit_norms = true,
              .ignore_alpha = true};
    case LossPreset::kArcfaceTorch:
      return {.sigma_epsilon = kReleasedEpsilon, .straight_through = true};
    default:
      return {};
  }
}

AdaFaceMargin::AdaFaceMargin(const MarginOptions& options, const AdaFaceRules& rules,
                             at::Device device)
    : Margin(options),
      rules_(rules),
      mean_(at::full({}, kInitialMean, at::TensorOptions().dtype(at::kDouble).device(device))),
      deviation_(
          at::full({}, kInitialDeviation, at::TensorOptions().dtype(at::kDouble).device(device))) {}

void AdaFaceMargin::update_statistics(const at::Tensor& norms) {
  if (norms.size(0) < 2) return;
  const double alpha = rules_.ignore_alpha ? 1.0 : options().adaface_t_alpha;
  const at::Tensor mean = mean_.mul(1.0 - alpha).add_(norms.mean(), alpha);
  const at::Tensor deviation = deviation_.mul(1.0 - alpha).add_(norms.std(), alpha);
  const at::Tensor usable = at::logical_and(mean.isfinite(), deviation.isfinite());
  mean_.copy_(at::where(usable, mean, mean_));
  deviation_.copy_(at::where(usable, deviation, deviation_));
}

TargetLogits AdaFaceMargin::do_target(const MarginBatch& batch) {
  at::Tensor norms =
      rules_.unit_norms ? at::ones_like(batch.norms, at::kDouble) : batch.norms.to(at::kDouble);
  if (rules_.sigma_epsilon > 0.0) norms = norms.clamp(kSmallestNorm, kLargestNorm);
  update_statistics(norms);
  const at::Tensor divisor = deviation_.add(rules_.sigma_epsilon).clamp_min_(kSmallestDeviation);
  scaler_ = norms.sub(mean_).div_(divisor).mul_(options().adaface_h).clamp_(-1.0, 1.0);

  const double limit = 1.0 - rules_.epsilon;
  const at::Tensor cosine = batch.target_cosine.clamp(-limit, limit);
  const at::Tensor shift = scaler_.mul(options().margin).to(cosine.scalar_type());
  const at::Tensor angle = angle_of(cosine).sub_(shift);
  const at::Tensor kept =
      rules_.epsilon > 0.0 ? angle.clamp(rules_.epsilon, std::numbers::pi - rules_.epsilon) : angle;
  TargetLogits target = logits_at_angle(cosine, kept, 1.0, options().scale);
  if (rules_.straight_through) target = straight_through(target, options().scale);
  target.logits.sub_(shift.add_(options().margin).mul_(options().scale));
  if (rules_.epsilon > 0.0)
    target.slope.masked_fill_(at::logical_or(batch.target_cosine.abs() > limit, kept != angle),
                              0.0);
  return target;
}

void AdaFaceMargin::do_non_targets(at::Tensor& cosines) const {
  const double limit = 1.0 - rules_.epsilon;
  const at::Tensor is_target = cosines.isneginf();
  cosines.clamp_(-limit, limit).masked_fill_(is_target, -std::numeric_limits<double>::infinity());
}

at::Tensor AdaFaceMargin::do_non_target_slope(const at::Tensor& cosines) const {
  return (cosines.abs() <= 1.0 - rules_.epsilon).to(cosines.scalar_type());
}

}  // namespace diffprob::model
