#include "model/head/head_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "model/head/minus_infinity.h"
#include "model/softmax/row_norms.h"

namespace diffprob::model {
HeadPass::HeadPass(StepClasses classes, at::Tensor x, const Margin& margin, LogitBuffer buffer)
    : classes_(std::move(classes)),
      x_(std::move(x)),
      margin_(margin),
      buffer_(std::move(buffer)),
      inverse_norms_(at::empty({classes_.count()}, x_.options())) {}

std::int64_t HeadPass::chunk_size(std::int64_t chunk) const noexcept {
  return std::min(buffer_.chunk_classes, classes_.count() - chunk_begin(chunk));
}

Chunk HeadPass::slot(std::int64_t chunk) const {
  const std::int64_t rows = x_.size(0);
  const std::int64_t classes = chunk_size(chunk);
  const at::Tensor values = buffer_.values.narrow(
      0, chunk % buffer_.slots * buffer_.chunk_classes * rows, classes * rows);
  return {values.view({classes, rows}), inverse_norms(chunk), chunk_begin(chunk)};
}

at::Tensor HeadPass::make_effective(const Chunk& chunk) const {
  if (!margin_.changes_non_targets()) return {};
  const at::Tensor cosines = chunk.values.t();  // [B, c]
  const at::Tensor slope = margin_.non_target_slope(cosines);
  margin_.non_targets(cosines);
  return slope.t();
}

ShardSoftmax HeadPass::first_pass() {
  const std::int64_t rows = x_.size(0);
  const double scale = margin_.options().scale;
  const at::Tensor none = at::full({rows}, kMinusInfinity, x_.options());
  // -1 is the lowest cosine there is: it keeps the reference finite when there is no non-target
  // class.
  ShardSoftmax softmax{{none, none.clone()},
                       at::full({rows}, -1.0, x_.options()),
                       at::zeros({rows}, x_.options().dtype(at::kDouble)),
                       at::zeros({rows, x_.size(1)}, x_.options())};
  references_.clear();
  for (std::int64_t i = 0; i < chunks(); ++i) {
    const at::Tensor centres = classes_.centres(chunk_begin(i), chunk_size(i));
    const Chunk chunk = slot(i);
    at::Tensor(chunk.inverse_norms).copy_(inverse_row_norms(centres));
    at::Tensor values = chunk.values;
    // Raw products: the norms of the centres are applied element by element later, which saves a
    // normalised copy of the centres.
    at::mm_out(values, centres, x_.t());
    // A margin that leaves non-target classes alone needs no cosines in memory: one pass over the
    // chunk finds the maxima, another makes the exponentials.
    const bool direct = !margin_.changes_non_targets() && has_product_kernels(values);
    if (direct) {
      maxima_of_products(chunk, classes_.targets(), softmax.maxima);
    } else {
      cosines_of_products(chunk, classes_.targets(), softmax.maxima);
    }
    const at::Tensor slope = direct ? at::Tensor() : make_effective(chunk);
    const at::Tensor largest =
        slope.defined() ? values.amax(0) : at::maximum(softmax.maxima.below, softmax.maxima.above);

    // The largest logit grows from chunk to chunk (an online softmax), and what was summed so far
    // is relative to the old one. In float64, because the factors of all chunks multiply up.
    const at::Tensor reference = at::maximum(softmax.reference, largest);
    const at::Tensor rescale =
        at::sub(softmax.reference.to(at::kDouble), reference).mul_(scale).exp_();
    softmax.reference = reference;
    softmax.sums.mul_(rescale);
    if (direct) {
      exponentials_of_products(chunk, classes_.targets(), scale, reference, softmax.sums);
    } else {
      exponentials_of_cosines(chunk, scale, reference, softmax.sums);
    }
    // Embedding gradients are summed here, while the centres of the chunk are at hand: the second
    // pass then has to touch the centres only for their own gradients, and may run much later.
    if (slope.defined()) values.mul_(slope);
    softmax.weighted_centres.mul_(rescale.to(at::kFloat).unsqueeze(1)).addmm_(values.t(), centres);
    references_.push_back(reference);
  }
  return softmax;
}

at::Tensor HeadPass::gradient_scratch() const {
  return at::empty({std::min(buffer_.chunk_classes, classes_.count()), x_.size(1)}, x_.options());
}

void HeadPass::recompute_gradients(const Chunk& chunk, const at::Tensor& centres) const {
  const double scale = margin_.options().scale;
  // The slot has been used by a later chunk since: the product is computed again.
  at::Tensor values = chunk.values;
  at::mm_out(values, centres, x_.t());
  if (!margin_.changes_non_targets())
    return gradients_of_products(chunk, scale, terms_.reference, terms_.factor);
  // cosines_of_products() also raises maxima, which are known by now.
  NonTargetMaxima unused{terms_.reference.clone(), terms_.reference.clone()};
  cosines_of_products(chunk, classes_.targets(), unused);
  const at::Tensor slope = make_effective(chunk);
  exponentials_of_cosines(chunk, scale, terms_.reference,
                          at::zeros({x_.size(0)}, x_.options().dtype(at::kDouble)));
  values.mul_(slope).mul_(terms_.factor);
}

void HeadPass::centre_gradient(std::int64_t chunk_index, const at::Tensor& centres,
                               const at::Tensor& gradient, bool add) {
  const Chunk chunk = slot(chunk_index);
  if (is_kept(chunk_index)) {
    // The slot still holds the exponentials of the first pass, relative to the reference of that
    // time: one factor per row makes them gradients, and the product with the centres is saved.
    const at::Tensor& old = references_[static_cast<std::size_t>(chunk_index)];
    at::Tensor(chunk.values)
        .mul_(at::sub(old, terms_.reference)
                  .mul_(margin_.options().scale)
                  .exp_()
                  .mul_(terms_.factor));
  } else {
    recompute_gradients(chunk, centres);
  }
  // Both ways above treat the target class as any other; its gradient is put in its place.
  put_target(chunk, classes_.targets(), terms_.target);
  at::Tensor out = gradient;
  if (add) {
    out.addmm_(chunk.values, x_);
  } else {
    at::mm_out(out, chunk.values, x_);
  }
}

void HeadPass::project(std::int64_t chunk, const at::Tensor& centres,
                       const at::Tensor& gradient) const {
  project_off_centres(gradient, centres, inverse_norms(chunk));
}

}  // namespace diffprob::model
