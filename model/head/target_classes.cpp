#include "model/head/target_classes.h"

#include <ATen/ATen.h>

#include <utility>

#include "model/head/minus_infinity.h"
#include "model/softmax/gpu_ops.h"
#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

at::Tensor cosines(const at::Tensor& centres, const at::Tensor& x) {
  const at::Tensor c = centres.to(at::kDouble);
  const at::Tensor e = x.to(at::kDouble);
  const at::Tensor lengths = at::linalg_vector_norm(c, 2, at::IntArrayRef{1})
                                 .mul_(at::linalg_vector_norm(e, 2, at::IntArrayRef{1}));
  return at::mul(c, e).sum(1).div_(lengths.clamp_min_(1e-300)).clamp_(-1.0, 1.0);
}

}  // namespace

TargetClasses::TargetClasses(StepClasses classes, at::Tensor x, bool target_kernel)
    : classes_(std::move(classes)),
      target_kernel_(target_kernel && classes_.count() > 0 && gpu::has_target_classes(x)),
      inverse_norms_(at::zeros({x.size(0)}, x.options())),
      cosine_(at::full({x.size(0)}, kMinusInfinity, x.options().dtype(at::kDouble))) {
  if (target_kernel_) {
    gpu::target_cosines(classes_, x, cosine_, inverse_norms_);
  } else if (classes_.count() == 0 || x.device().is_cpu()) {
    take_local_rows(x);
  } else {
    take_all_rows(x);
  }
}

void TargetClasses::take_local_rows(const at::Tensor& x) {
  const bool none = classes_.count() == 0;  // known without asking a device
  rows_ = none ? at::empty({0}, x.options().dtype(at::kLong))
               : classes_.targets().is_local.nonzero().squeeze(1);
  directions_ = none ? at::empty({0, x.size(1)}, x.options()) : classes_.target_centres(rows_);
  cosine_.index_copy_(0, rows_, cosines(directions_, x.index_select(0, rows_)));
  const at::Tensor inverse = inverse_row_norms(directions_);
  inverse_norms_.index_copy_(0, rows_, inverse);
  directions_.mul_(inverse.unsqueeze(1));
}

void TargetClasses::take_all_rows(const at::Tensor& x) {
  const at::Tensor elsewhere = at::logical_not(classes_.targets().is_local);
  directions_ = classes_.target_centres({});
  cosine_ = cosines(directions_, x).masked_fill_(elsewhere, kMinusInfinity);
  inverse_norms_ = inverse_row_norms(directions_).masked_fill_(elsewhere, 0.0);
  directions_.mul_(inverse_norms_.unsqueeze(1));
}

void TargetClasses::add_gradients(const at::Tensor& gradients, const at::Tensor& slope) const {
  if (target_kernel_) return gpu::add_target_gradients(classes_, inverse_norms_, slope, gradients);
  if (!rows_.defined()) {
    at::Tensor(gradients).addcmul_(directions_, slope.unsqueeze(1));
    return;
  }
  const at::Tensor sum = gradients.index_select(0, rows_).addcmul_(
      directions_, slope.index_select(0, rows_).unsqueeze(1));
  at::Tensor(gradients).index_copy_(0, rows_, sum);
}

at::Tensor TargetClasses::over_norms(const at::Tensor& slope) const {
  return at::mul(slope, inverse_norms_);
}

}  // namespace diffprob::model
