#include "model/folded_norm/gpu_ops.h"

#include <c10/cuda/CUDAGuard.h>

#include "model/batch_norm/gpu_ops.h"
#include "model/batch_norm/gpu_tensors.h"
#include "model/folded_norm/gpu.h"
#include "model/kernels/gpu_stream.h"

namespace diffprob::model::gpu {
namespace {

at::TensorOptions floats_on(const at::Tensor& x) {
  return at::TensorOptions(x.device()).dtype(at::kFloat);
}

/// y: channels-last.
thread::Pictures pictures_of(const at::Tensor& y) {
  return {y.size(0), static_cast<int>(y.size(2)), static_cast<int>(y.size(3)),
          static_cast<int>(y.size(1))};
}

FoldWeight weight_of(const at::Tensor& weight) {
  return {weight.const_data_ptr<float>(), static_cast<int>(weight.size(0)),
          static_cast<int>(weight.size(1))};
}

}  // namespace

bool has_fold_kernels(const at::Tensor& weight) {
  constexpr std::int64_t kMost = 1024, kWidest = 8;
  const auto fits = [](std::int64_t channels) {
    return channels % kWidest == 0 && channels <= kMost;
  };
  return weight.is_cuda() && weight.scalar_type() == at::kFloat &&
         weight.is_contiguous(at::MemoryFormat::ChannelsLast) && fits(weight.size(0)) &&
         fits(weight.size(1));
}

FoldedWeight fold(const at::Tensor& weight, const BatchAffine& affine,
                  const BatchStatistics& statistics, at::ScalarType type) {
  const c10::cuda::CUDAGuard guard(weight.device());
  const FoldedWeight folded = {
      at::empty_like(weight, weight.options().dtype(type).requires_grad(false)),
      at::empty({thread::kBorderCodes, weight.size(0)}, floats_on(weight)),
      at::empty({weight.size(0)}, floats_on(weight))};
  fold(weight_of(weight), parameters_of(affine, statistics), number_of(folded.weight),
       folded.weight.mutable_data_ptr(), folded.border.mutable_data_ptr<float>(),
       folded.constant.mutable_data_ptr<float>(), stream_of(weight));
  return folded;
}

void add_border(const at::Tensor& y, const at::Tensor& border) {
  const c10::cuda::CUDAGuard guard(y.device());
  add_border(pictures_of(y), number_of(y), border.const_data_ptr<float>(), y.mutable_data_ptr(),
             stream_of(y));
}

at::Tensor sums_inside(const at::Tensor& grad) {
  const c10::cuda::CUDAGuard guard(grad.device());
  const thread::Pictures pictures = pictures_of(grad);
  const int blocks = side_blocks(pictures, number_of(grad), multiprocessors_of(grad));
  const at::Tensor partials = at::empty(
      {static_cast<int>(thread::Side::kSides), blocks, thread::kSideSums, pictures.channels},
      floats_on(grad));
  const at::Tensor inside = at::empty({pictures.channels, thread::kTaps}, floats_on(grad));
  sums_inside(pictures, number_of(grad), grad.const_data_ptr(), partials.mutable_data_ptr<float>(),
              blocks, inside.mutable_data_ptr<float>(), stream_of(grad));
  return inside;
}

BatchGradientSums folded_gradients(const FoldedGradients& given, const at::Tensor& weight,
                                   const at::Tensor& weight_gradient, const BatchAffine& affine,
                                   const BatchStatistics& statistics, const BatchAffine& places) {
  const c10::cuda::CUDAGuard guard(weight.device());
  const at::Tensor with_x = given.with_x.contiguous(at::MemoryFormat::ChannelsLast);
  const int blocks = weight_gradient_blocks(weight_of(weight), multiprocessors_of(weight));
  const at::Tensor partials = at::empty({blocks, 2, weight.size(1)}, floats_on(weight));
  weight_gradients(
      weight_of(weight),
      {number_of(with_x), with_x.const_data_ptr(), given.inside.const_data_ptr<float>()},
      parameters_of(affine, statistics), weight_gradient.mutable_data_ptr<float>(),
      partials.mutable_data_ptr<float>(), blocks, stream_of(weight));
  return finished_gradient_sums(partials, affine, statistics, places);
}

}  // namespace diffprob::model::gpu
