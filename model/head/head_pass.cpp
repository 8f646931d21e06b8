#include "model/head/head_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

}  // namespace

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
  if (!margin_.changes_others()) return {};
  const at::Tensor cosines = chunk.values.t();  // [B, c]
  const at::Tensor slope = margin_.others_slope(cosines);
  margin_.others(cosines);
  return slope.t();
}

ShardSoftmax HeadPass::first_pass() {
  const std::int64_t rows = x_.size(0);
  const double scale = margin_.options().scale;
  const at::Tensor none = at::full({rows}, kMinusInfinity, x_.options());
  // -1 is the lowest cosine there is: it keeps the reference finite when there is no other class.
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
    at::mm_out(values, centres, x_.t());
    const bool direct =
        !margin_.changes_others() && has_product_kernels(values);  // cosines need not be written
    if (direct) {
      maxima_of_products(chunk, classes_.own(), softmax.maxima);
    } else {
      cosines_of_products(chunk, classes_.own(), softmax.maxima);
    }
    const at::Tensor slope = direct ? at::Tensor() : make_effective(chunk);
    const at::Tensor largest =
        slope.defined() ? values.amax(0) : at::maximum(softmax.maxima.below, softmax.maxima.above);

    // What was summed so far is relative to the old reference.
    const at::Tensor reference = at::maximum(softmax.reference, largest);
    const at::Tensor rescale =
        at::sub(softmax.reference.to(at::kDouble), reference).mul_(scale).exp_();
    softmax.reference = reference;
    softmax.sums.mul_(rescale);
    if (direct) {
      exponentials_of_products(chunk, classes_.own(), scale, reference, softmax.sums);
    } else {
      exponentials_of_cosines(chunk, scale, reference, softmax.sums);
    }
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
  at::Tensor values = chunk.values;
  at::mm_out(values, centres, x_.t());
  if (!margin_.changes_others())
    return gradients_of_products(chunk, scale, terms_.reference, terms_.factor);
  OtherMaxima unused{terms_.reference.clone(), terms_.reference.clone()};
  cosines_of_products(chunk, classes_.own(), unused);
  const at::Tensor slope = make_effective(chunk);
  exponentials_of_cosines(chunk, scale, terms_.reference,
                          at::zeros({x_.size(0)}, x_.options().dtype(at::kDouble)));
  values.mul_(slope).mul_(terms_.factor);
}

void HeadPass::centre_gradient(std::int64_t chunk_index, const at::Tensor& centres,
                               const at::Tensor& gradient, bool add) {
  const Chunk chunk = slot(chunk_index);
  if (is_kept(chunk_index)) {
    const at::Tensor& old = references_[static_cast<std::size_t>(chunk_index)];
    at::Tensor(chunk.values)
        .mul_(at::sub(old, terms_.reference)
                  .mul_(margin_.options().scale)
                  .exp_()
                  .mul_(terms_.factor));
  } else {
    recompute_gradients(chunk, centres);
  }
  put_own(chunk, classes_.own(), terms_.own);
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
