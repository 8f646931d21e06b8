#include "model/folded_norm/ops.h"

#include <torch/types.h>

#include "model/batch_norm/gpu_ops.h"
#include "model/folded_norm/gpu_ops.h"
#include "model/folded_norm/threads.h"

namespace diffprob::model {
namespace {

using gpu::thread::kBorderCodes;
using gpu::thread::kTaps;

/// float32 of the half types: sums are taken in that at least.
at::ScalarType wide_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}

/// Returns [16, 9]: 1 where a tap lies outside of the picture.
at::Tensor outside_by_code(const at::TensorOptions& options) {
  const at::Tensor outside = at::zeros({kBorderCodes, kTaps}, at::kDouble);
  for (int code = 0; code < kBorderCodes; ++code) {
    for (int tap = 0; tap < kTaps; ++tap)
      outside[code][tap] = gpu::thread::is_outside(tap, code) ? 1 : 0;
  }
  return outside.to(options);
}

/// Returns [H W] the code of each pixel.
at::Tensor codes_of(const at::Tensor& pictures) {
  const std::int64_t rows = pictures.size(2), columns = pictures.size(3);
  const at::Tensor codes = at::zeros({rows, columns}, at::kLong);
  using namespace gpu::thread;
  codes[0].add_(kTop);
  codes[rows - 1].add_(kBottom);
  codes.select(1, 0).add_(kLeft);
  codes.select(1, columns - 1).add_(kRight);
  return codes.flatten().to(pictures.device());
}

/// Scale and shift of the batch norm, [1, C, 1, 1] float64 each.
struct Terms {
  Terms(const BatchAffine& affine, const BatchStatistics& statistics) {
    const at::Tensor factor = affine.weight.defined()
                                  ? statistics.inv_std * affine.weight.to(at::kDouble)
                                  : statistics.inv_std;
    at::Tensor offset = -statistics.mean * factor;
    if (affine.bias.defined()) offset = offset + affine.bias.to(at::kDouble);
    scale = factor.view({1, -1, 1, 1});
    shift = offset.view({1, -1, 1, 1});
  }
  at::Tensor scale, shift;
};

}  // namespace

FoldedWeight fold(const at::Tensor& weight, const BatchAffine& affine,
                  const BatchStatistics& statistics, at::ScalarType type) {
  if (gpu::has_fold_kernels(weight) && type != at::kDouble)
    return gpu::fold(weight, affine, statistics, type);
  const at::NoGradGuard no_grad;
  const Terms terms(affine, statistics);
  const at::Tensor taps = (weight.to(at::kDouble) * terms.shift).sum(1).flatten(1);  // [K, 9]
  const at::Tensor border = -at::mm(outside_by_code(taps.options()), taps.t());
  return {(weight.to(at::kDouble) * terms.scale).to(type), border.to(wide_type(type)),
          taps.sum(1).to(wide_type(type))};
}

void add_border(const at::Tensor& y, const at::Tensor& border) {
  if (gpu::has_batch_kernels(y)) return gpu::add_border(y, border);
  const at::Tensor all = border.index_select(0, codes_of(y));  // [H W, K]
  at::Tensor(y).add_(all.t().reshape({1, y.size(1), y.size(2), y.size(3)}));
}

at::Tensor sums_inside(const at::Tensor& grad) {
  if (gpu::has_batch_kernels(grad)) return gpu::sums_inside(grad);
  const at::Tensor sums = grad.to(wide_type(grad.scalar_type())).sum(0).flatten(1);  // [K, H W]
  const at::Tensor outside = outside_by_code(sums.options()).index_select(0, codes_of(grad));
  return -at::mm(sums, outside);
}

BatchGradientSums folded_gradients(const FoldedGradients& given, const at::Tensor& weight,
                                   const at::Tensor& weight_gradient, const BatchAffine& affine,
                                   const BatchStatistics& statistics, const BatchAffine& places) {
  if (gpu::has_fold_kernels(weight) && given.with_x.scalar_type() != at::kDouble)
    return gpu::folded_gradients(given, weight, weight_gradient, affine, statistics, places);
  const at::NoGradGuard no_grad;
  const Terms terms(affine, statistics);
  const at::Tensor with_x = given.with_x.to(at::kDouble), wide = weight.to(at::kDouble);
  const at::Tensor inside =
      given.inside.to(at::kDouble).view({weight.size(0), 1, weight.size(2), weight.size(3)});
  at::Tensor(weight_gradient).copy_(terms.scale * with_x + terms.shift * inside);
  const std::array<std::int64_t, 3> all_but_inputs = {0, 2, 3};
  const at::Tensor sum = (wide * inside).sum(all_but_inputs);
  const at::Tensor product = (wide * with_x).sum(all_but_inputs) - statistics.mean * sum;
  const auto stored = [](const at::Tensor& values, const at::Tensor& parameter, at::Tensor place) {
    return place.defined() ? place.copy_(values) : values.to(parameter.scalar_type());
  };
  BatchGradientSums found = {at::stack({sum, product}), {}, {}, {}};
  if (affine.weight.defined())
    found.weight = stored(product * statistics.inv_std, affine.weight, places.weight);
  if (affine.bias.defined()) found.bias = stored(sum, affine.bias, places.bias);
  return found;
}

}  // namespace diffprob::model
