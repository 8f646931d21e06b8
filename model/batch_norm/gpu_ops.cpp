#include "model/batch_norm/gpu_ops.h"

#include <c10/cuda/CUDAGuard.h>

#include "model/batch_norm/gpu.h"
#include "model/batch_norm/gpu_tensors.h"
#include "model/kernels/gpu_stream.h"

namespace diffprob::model::gpu {
namespace {

at::TensorOptions options_of(const at::Tensor& x, at::ScalarType type) {
  return at::TensorOptions(x.device()).dtype(type);
}

/// Returns an array that the kernels can walk together with x: of the same type and layout. It may
/// be undefined.
at::Tensor beside(const at::Tensor& other, const at::Tensor& x) {
  if (!other.defined()) return other;
  return other.to(x.scalar_type())
      .contiguous(x.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

const void* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr() : nullptr;
}

/// Returns [blocks, 2, C], sums of (x - first row) and of its square: `known` if it is defined,
/// else they are computed.
at::Tensor moment_sums(const at::Tensor& x, const at::Tensor& known) {
  if (known.defined()) return known;
  const int blocks = moment_blocks(rows_of(x), multiprocessors_of(x));
  const at::Tensor partials = at::empty({blocks, 2, x.size(1)}, options_of(x, at::kFloat));
  sum_shifted_moments(rows_of(x), x.const_data_ptr(), partials.mutable_data_ptr<float>(), blocks,
                      stream_of(x));
  return partials;
}

/// Returns [blocks, 2 or 3, C], what sum_gradients() finds.
at::Tensor gradient_partials(const at::Tensor& grad, const at::Tensor& x,
                             const ChannelArrays& parameters) {
  const int blocks = gradient_blocks(rows_of(x), multiprocessors_of(x));
  const int quantities = thread::gradient_quantities(parameters.slope != nullptr);
  const at::Tensor partials = at::empty({blocks, quantities, x.size(1)}, options_of(x, at::kFloat));
  sum_gradients(rows_of(x), {x.const_data_ptr(), grad.const_data_ptr()}, parameters,
                partials.mutable_data_ptr<float>(), blocks, stream_of(x));
  return partials;
}

int blocks_of(const at::Tensor& partials) {
  return static_cast<int>(partials.size(0));
}

}  // namespace

bool has_batch_kernels(const at::Tensor& x) {
  if (!x.is_cuda() || x.numel() == 0) return false;
  const auto type = x.scalar_type();
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) return false;
  const bool rows = x.dim() == 4 ? x.is_contiguous(at::MemoryFormat::ChannelsLast)
                                 : x.dim() == 2 && x.is_contiguous();
  return rows && is_supported(rows_of(x));
}

at::Tensor batch_moments(const at::Tensor& x, const at::Tensor& sums) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Rows rows = rows_of(x);
  const at::Tensor partials = moment_sums(x, sums);
  const at::Tensor moments = at::empty({2, x.size(1)}, options_of(x, at::kDouble));
  auto* mean = moments.mutable_data_ptr<double>();
  finish_moments(rows, x.const_data_ptr(), partials.const_data_ptr<float>(), blocks_of(partials),
                 {mean, mean + x.size(1), nullptr, 0, nullptr, nullptr, 0, nullptr, nullptr},
                 stream_of(x));
  return moments;
}

BatchStatistics batch_statistics(const at::Tensor& x, double eps, const RunningStatistics& running,
                                 const at::Tensor& sums) {
  const c10::cuda::CUDAGuard guard(x.device());
  const Rows rows = rows_of(x);
  const at::Tensor partials = moment_sums(x, sums);
  const at::Tensor both = at::empty({2, x.size(1)}, options_of(x, at::kDouble));
  auto* mean = both.mutable_data_ptr<double>();
  const bool kept = running.mean.defined();
  const bool counted =
      running.num_batches.defined() && running.num_batches.scalar_type() == at::kLong;
  if (running.num_batches.defined() && !counted)
    at::Tensor(running.num_batches).add_(1);  // the network was converted as a whole
  finish_moments(rows, x.const_data_ptr(), partials.const_data_ptr<float>(), blocks_of(partials),
                 {mean, nullptr, mean + x.size(1), eps,
                  kept ? running.mean.mutable_data_ptr<float>() : nullptr,
                  kept ? running.variance.mutable_data_ptr<float>() : nullptr, running.momentum,
                  counted ? running.num_batches.mutable_data_ptr<std::int64_t>() : nullptr,
                  floats_or_null(running.lacks)},
                 stream_of(x));
  return {both[0], both[1], static_cast<double>(rows.count), {}, false};
}

at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine,
                           const BatchStatistics& statistics, const at::Tensor& residual,
                           at::Tensor* sums_of_output) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor other = beside(residual, x);
  const at::Tensor y = at::empty_like(x);
  const bool summing = sums_of_output != nullptr;
  const int blocks = normalize_blocks(
      rows_of(x), {affine.slope.defined(), other.defined(), summing}, multiprocessors_of(x));
  if (summing) *sums_of_output = at::empty({blocks, 2, x.size(1)}, options_of(x, at::kFloat));
  normalize(rows_of(x), {x.const_data_ptr(), nullptr, data_or_null(other), y.mutable_data_ptr()},
            parameters_of(affine, statistics),
            summing ? sums_of_output->mutable_data_ptr<float>() : nullptr, blocks, stream_of(x));
  return y;
}

BatchGradientSums finished_gradient_sums(const at::Tensor& partials, const BatchAffine& affine,
                                         const BatchStatistics& statistics,
                                         const BatchAffine& places) {
  const c10::cuda::CUDAGuard guard(partials.device());
  const auto channels = static_cast<int>(partials.size(2));
  BatchGradientSums found;
  found.sums = at::empty({2, channels}, options_of(partials, at::kDouble));
  const auto place_of = [](const at::Tensor& parameter, const at::Tensor& place) {
    return place.defined() || !parameter.defined() ? place : at::empty_like(parameter);
  };
  found.weight = place_of(affine.weight, places.weight);
  found.bias = place_of(affine.bias, places.bias);
  found.slope = place_of(affine.slope, places.slope);
  const auto floats = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
  };
  finish_gradient_sums(channels, partials.const_data_ptr<float>(), blocks_of(partials),
                       parameters_of(affine, statistics),
                       {found.sums.mutable_data_ptr<double>(), floats(found.weight),
                        floats(found.bias), floats(found.slope)},
                       stream_of(partials));
  return found;
}

BatchGradientSums batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x,
                                      const BatchAffine& affine, const BatchStatistics& statistics,
                                      const BatchAffine& places, const at::Tensor& known) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor partials =
      known.defined() ? known : gradient_partials(grad, x, parameters_of(affine, statistics));
  return finished_gradient_sums(partials, affine, statistics, places);
}

at::Tensor batch_input_gradient(const GivenGradients& given, const at::Tensor& x,
                                const BatchAffine& affine, const BatchStatistics& statistics,
                                const at::Tensor& sums, LayerBefore* before) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor other = beside(given.around, x);
  const at::Tensor grad_x = at::empty_like(x);
  const BatchSums batch = {
      statistics.frozen ? nullptr : sums.const_data_ptr<double>(), statistics.count,
      statistics.shared_count.defined() ? statistics.shared_count.const_data_ptr<double>()
                                        : nullptr};
  const int blocks = input_gradient_blocks(
      rows_of(x), {affine.slope.defined(), other.defined(), before != nullptr},
      multiprocessors_of(x));
  BeforeArrays layer{nullptr, nullptr, nullptr};
  if (before != nullptr) {
    before->sums = at::empty({blocks, 2, x.size(1)}, options_of(x, at::kFloat));
    layer = {before->x.const_data_ptr(), before->mean.const_data_ptr<double>(),
             before->sums.mutable_data_ptr<float>()};
  }
  input_gradients(rows_of(x),
                  {x.const_data_ptr(), given.of_output.const_data_ptr(), data_or_null(other),
                   grad_x.mutable_data_ptr()},
                  parameters_of(affine, statistics), batch, layer, blocks, stream_of(x));
  return grad_x;
}

}  // namespace diffprob::model::gpu
