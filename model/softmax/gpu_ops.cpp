#include "model/softmax/gpu_ops.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include "model/kernels/gpu_stream.h"
#include "model/softmax/gpu.h"

namespace diffprob::model::gpu {
namespace {

Products products_of(const Chunk& chunk, const TargetPositions& targets) {
  return {chunk.values.mutable_data_ptr<float>(),
          chunk.values.size(0),
          chunk.values.size(1),
          chunk.begin,
          chunk.inverse_norms.const_data_ptr<float>(),
          targets.position.const_data_ptr<std::int64_t>(),
          targets.is_local.const_data_ptr<bool>()};
}

TargetRows target_rows_of(const StepClasses& classes, std::int64_t dim) {
  const at::Tensor& weight = classes.weight();
  return {weight.const_data_ptr(),
          weight.scalar_type() == at::kBFloat16,
          classes.rows().defined() ? classes.rows().const_data_ptr<std::int64_t>() : nullptr,
          classes.targets().position.const_data_ptr<std::int64_t>(),
          classes.targets().is_local.const_data_ptr<bool>(),
          classes.targets().position.size(0),
          static_cast<int>(dim)};
}

}  // namespace

bool has_product_kernels(const at::Tensor& values) {
  return values.is_cuda() && values.scalar_type() == at::kFloat && values.is_contiguous() &&
         values.numel() > 0;
}

void maxima_of_products(const Chunk& chunk, const TargetPositions& targets,
                        NonTargetMaxima& maxima) {
  const c10::cuda::CUDAGuard guard(chunk.values.device());
  const Products products = products_of(chunk, targets);
  const int parts = class_parts(products, multiprocessors_of(chunk.values));
  const at::Tensor found = at::empty({2, parts, products.rows}, chunk.values.options());
  auto* below = found.mutable_data_ptr<float>();
  non_target_maxima(products, parts, below, below + parts * products.rows, stream_of(chunk.values));
  const at::Tensor largest = found.amax(1);
  maxima.below = at::maximum(maxima.below, largest[0]);
  maxima.above = at::maximum(maxima.above, largest[1]);
}

void exponentials_of_products(const Chunk& chunk, const TargetPositions& targets, double scale,
                              const at::Tensor& reference, const at::Tensor& sums) {
  const c10::cuda::CUDAGuard guard(chunk.values.device());
  const Products products = products_of(chunk, targets);
  const int parts = class_parts(products, multiprocessors_of(chunk.values));
  const at::Tensor found = at::empty({parts, products.rows}, chunk.values.options());
  exponentials(products, static_cast<float>(scale), reference.contiguous().const_data_ptr<float>(),
               parts, found.mutable_data_ptr<float>(), stream_of(chunk.values));
  at::Tensor(sums).add_(found.sum(0, /*keepdim=*/false, at::kDouble));
}

bool has_target_classes(const at::Tensor& x) {
  return x.is_cuda() && x.scalar_type() == at::kFloat && x.stride(1) == 1 && x.numel() > 0;
}

void target_cosines(const StepClasses& classes, const at::Tensor& x, const at::Tensor& cosine,
                    const at::Tensor& inverse_norms) {
  const c10::cuda::CUDAGuard guard(x.device());
  target_cosines(target_rows_of(classes, x.size(1)), x.const_data_ptr<float>(), x.stride(0),
                 cosine.mutable_data_ptr<double>(), inverse_norms.mutable_data_ptr<float>(),
                 stream_of(x));
}

void add_target_gradients(const StepClasses& classes, const at::Tensor& inverse_norms,
                          const at::Tensor& slope, const at::Tensor& gradients) {
  const c10::cuda::CUDAGuard guard(gradients.device());
  add_target_gradients(target_rows_of(classes, gradients.size(1)),
                       inverse_norms.const_data_ptr<float>(), slope.const_data_ptr<float>(),
                       gradients.mutable_data_ptr<float>(), stream_of(gradients));
}

bool has_head_sgd(const at::Tensor& weight) {
  return weight.is_cuda() && weight.size(1) % 4 == 0;
}

void head_sgd(const HeadState& state, const RowGradients& rows, const HeadSgdStep& step,
              const StepControl& control) {
  const c10::cuda::CUDAGuard guard(state.weight.device());
  const auto floats = [](const at::Tensor& scalar) {
    return scalar.defined() ? scalar.to(at::kFloat) : scalar;
  };
  const at::Tensor do_update = floats(control.do_update);
  const at::Tensor rate = floats(control.device_rate);
  const auto pointer = [](const at::Tensor& scalar) {
    return scalar.defined() ? scalar.const_data_ptr<float>() : nullptr;
  };
  const HeadRows work = {
      state.weight.mutable_data_ptr(),
      state.momentum.mutable_data_ptr(),
      state.weight.scalar_type() == at::kBFloat16,
      rows.gradient.const_data_ptr<float>(),
      rows.inverse_norms.defined() ? rows.inverse_norms.const_data_ptr<float>() : nullptr,
      rows.rows.defined() ? rows.rows.const_data_ptr<std::int64_t>() : nullptr,
      rows.first,
      rows.gradient.size(0),
      static_cast<int>(rows.gradient.size(1)),
      state.first_class,
      state.key};
  const std::int64_t* key =
      state.device_key.defined() ? state.device_key.const_data_ptr<std::int64_t>() : nullptr;
  head_sgd(work, step, {pointer(do_update), pointer(rate), key}, stream_of(state.weight));
}

}  // namespace diffprob::model::gpu
