#include "model/margin/margin.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <limits>

#include "model/margin/adaface.h"
#include "model/margin/angle.h"
#include "model/margin/curricular.h"
#include "model/margin/elastic.h"
#include "model/margin/fixed.h"

namespace diffprob::model {
namespace {

void check_range(const char* option, double value, double low, double high) {
  TORCH_CHECK(value >= low && value <= high, "margin: ", option, " must be in [", low, ", ", high,
              "], got ", value);
}

void check_options(const MarginOptions& options) {
  TORCH_CHECK(options.scale > 0.0 && std::isfinite(options.scale),
              "margin: scale must be positive, got ", options.scale);
  check_range("margin", options.margin, 0.0, 3.0);
  check_range("m1", options.m1, 0.0, 10.0);
  check_range("m2", options.m2, 0.0, 3.0);
  check_range("m3", options.m3, 0.0, 3.0);
  check_range("elastic_std", options.elastic_std, 0.0, 1.0);
  check_range("curricular_momentum", options.curricular_momentum, 0.0, 1.0);
  check_range("adaface_h", options.adaface_h, 0.0, 10.0);
  check_range("adaface_t_alpha", options.adaface_t_alpha, 0.0, 1.0);
  check_range("filter_threshold", options.filter_threshold, 0.0, 1.0);
  TORCH_CHECK(options.preset != LossPreset::kArcfaceTorch ||
                  options.kind != MarginKind::kCombined || options.m1 == 1.0 || options.m3 > 0.0,
              "margin: arcface_torch has no combined loss with m1 other than 1 (got ", options.m1,
              ") and m3 0: set m1 to 1 or m3 above 0, or take the default preset");
}

}  // namespace

TargetLogits apply_margin(const at::Tensor& target_cosine, const MarginOptions& options) {
  switch (options.kind) {
    case MarginKind::kElasticArcFace:
    case MarginKind::kElasticArcFacePlus:
      return logits_at_angle(target_cosine, angle_of(target_cosine).add_(options.margin), 1.0,
                             options.scale);
    case MarginKind::kElasticCosFace:
    case MarginKind::kElasticCosFacePlus:
    case MarginKind::kAdaFace:
      return additive_logits(target_cosine, options.margin, options.scale);
    case MarginKind::kCurricularFace:
      return curricular_target(target_cosine, options.margin, options.scale);
    default:
      return fixed_target(target_cosine, options);
  }
}

TargetLogits Margin::target(const MarginBatch& batch) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(batch.target_cosine.dim() == 1 && batch.norms.sizes() == batch.target_cosine.sizes(),
              "margin: expected [B] cosines and norms, got ", batch.target_cosine.sizes(), " and ",
              batch.norms.sizes());
  TargetLogits logits = do_target(batch);
  logits = {batch.own(logits.logits), batch.own(logits.slope)};
  // No rank has the label of such a row: its loss has to stay infinite, whatever the formula makes
  // of it.
  logits.logits.masked_fill_(batch.own(batch.target_cosine).isneginf(),
                             -std::numeric_limits<double>::infinity());
  return logits;
}

bool Margin::changes_non_targets() const {
  return options_.filter_threshold > 0.0 || kind_changes_non_targets();
}

void Margin::non_targets(at::Tensor cosines) const {
  const at::NoGradGuard no_grad;
  // First: what is filtered is 0, which every kind leaves at 0.
  if (options_.filter_threshold > 0.0)
    cosines.masked_fill_(cosines > options_.filter_threshold, 0.0);
  if (kind_changes_non_targets()) do_non_targets(cosines);
}

at::Tensor Margin::non_target_slope(const at::Tensor& cosines) const {
  const at::NoGradGuard no_grad;
  at::Tensor slope =
      kind_changes_non_targets() ? do_non_target_slope(cosines) : at::ones_like(cosines);
  if (options_.filter_threshold > 0.0) slope.masked_fill_(cosines > options_.filter_threshold, 0.0);
  return slope;
}

void Margin::do_non_targets(at::Tensor& /*cosines*/) const {}

at::Tensor Margin::do_non_target_slope(const at::Tensor& cosines) const {
  return at::ones_like(cosines);
}

std::unique_ptr<Margin> make_margin(const MarginOptions& options, at::Device device) {
  check_options(options);
  switch (options.kind) {
    case MarginKind::kElasticArcFace:
    case MarginKind::kElasticCosFace:
    case MarginKind::kElasticArcFacePlus:
    case MarginKind::kElasticCosFacePlus:
      return std::make_unique<ElasticMargin>(options, device);
    case MarginKind::kCurricularFace:
      return std::make_unique<CurricularMargin>(options, device);
    case MarginKind::kAdaFace:
      return std::make_unique<AdaFaceMargin>(options, adaface_rules(options), device);
    default:
      return std::make_unique<FixedMargin>(options);
  }
}

}  // namespace diffprob::model
