#include "model/margin/elastic.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "data/random/keyed_random.h"
#include "model/margin/angle.h"

namespace diffprob::model {
namespace {

bool is_plus(MarginKind kind) {
  return kind == MarginKind::kElasticArcFacePlus || kind == MarginKind::kElasticCosFacePlus;
}

bool is_angular(MarginKind kind) {
  return kind == MarginKind::kElasticArcFace || kind == MarginKind::kElasticArcFacePlus;
}

}  // namespace

at::Tensor draw_margins(std::uint64_t key, std::int64_t rows, double mean, double deviation) {
  const at::Tensor margins = at::empty({rows}, at::kDouble);
  auto* values = margins.mutable_data_ptr<double>();
  const std::uint64_t stream = data::combine_key(key, data::key_of_name("margin.elastic"));
  for (std::int64_t row = 0; row < rows; ++row) {
    data::KeyedRandom random(data::combine_key(stream, static_cast<std::uint64_t>(row)));
    values[row] = mean + deviation * static_cast<double>(random.normal());
  }
  return margins;
}

at::Tensor deal_margins(const at::Tensor& drawn, const at::Tensor& target_cosine, DealRule rule) {
  const at::Tensor ascending = std::get<0>(drawn.sort());
  // As float32: what differs only by rounding (cosines of 1, say) is equal, so its order does not
  // depend on how sums were split.
  const at::Tensor order =
      target_cosine.to(at::kFloat).argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  if (rule == DealRule::kReference) return ascending.gather(0, order);
  return at::empty_like(ascending).scatter_(0, order, ascending);
}

void ElasticMargin::set_margins(const at::Tensor& drawn) {
  TORCH_CHECK(drawn.dim() == 1, "elastic margin: expected [B] margins, got ", drawn.sizes());
  given_ = drawn.to(device_, at::kDouble);
}

TargetLogits ElasticMargin::do_target(const MarginBatch& batch) {
  const at::Tensor& cosine = batch.target_cosine;
  at::Tensor margins = given_;
  if (!margins.defined()) {
    margins = draw_margins(batch.key, cosine.size(0), options().margin, options().elastic_std);
    // Pinned: a pageable copy would make the host wait for the stream.
    if (!device_.is_cpu())
      margins = margins.pin_memory().to(device_, at::kDouble, /*non_blocking=*/true);
  }
  TORCH_CHECK(margins.sizes() == cosine.sizes(), "elastic margin: ", margins.size(0),
              " margins for a batch of ", cosine.size(0));
  if (is_plus(options().kind))
    margins = deal_margins(
        margins, cosine,
        options().preset == LossPreset::kReference ? DealRule::kReference : DealRule::kPaper);
  margins = margins.to(cosine.scalar_type());
  if (!is_angular(options().kind)) return additive_logits(cosine, margins, options().scale);
  return logits_at_angle(cosine, angle_of(cosine).add_(margins), 1.0, options().scale);
}

}  // namespace diffprob::model
