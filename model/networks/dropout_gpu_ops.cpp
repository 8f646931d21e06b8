#include "model/networks/dropout_gpu_ops.h"

#include <c10/cuda/CUDAGuard.h>
#include <torch/autograd.h>

#include "model/kernels/gpu_stream.h"
#include "model/networks/dropout_gpu.h"

namespace diffprob::model::gpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor masked(const at::Tensor& values, double p, const StepContext& context) {
  const c10::cuda::CUDAGuard guard(values.device());
  const at::Tensor x = values.contiguous();
  const Number type = x.scalar_type() == at::kHalf       ? Number::kHalf
                      : x.scalar_type() == at::kBFloat16 ? Number::kBFloat16
                                                         : Number::kFloat;
  const Dropout options = {
      context.key,
      context.device_key.defined() ? context.device_key.const_data_ptr<std::int64_t>() : nullptr,
      context.first_row, static_cast<std::uint64_t>(p * 0x1p32),
      static_cast<float>(1.0 / (1.0 - p))};
  const at::Tensor y = at::empty_like(x);
  dropout({type, x.size(0), static_cast<int>(x.size(1))}, x.const_data_ptr(), options,
          y.mutable_data_ptr(), stream_of(x));
  return y;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& features, double p,
                            const StepContext& context) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["key"] = static_cast<std::int64_t>(context.key);
    ctx->saved_data["first_row"] = context.first_row;
    ctx->save_for_backward({context.device_key});
    return masked(features, p, context);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const StepContext context = {static_cast<std::uint64_t>(ctx->saved_data["key"].toInt()),
                                 ctx->saved_data["first_row"].toInt(),
                                 ctx->get_saved_variables()[0]};
    return {masked(grads[0], ctx->saved_data["p"].toDouble(), context), {}, {}};
  }
};

}  // namespace

bool has_dropout(const at::Tensor& features) {
  const auto type = features.scalar_type();
  return features.is_cuda() && features.size(0) > 0 && features.size(0) <= 65535 &&
         (type == at::kFloat || type == at::kHalf || type == at::kBFloat16);
}

at::Tensor keyed_dropout(const at::Tensor& features, double p, const StepContext& context) {
  return DropoutFunction::apply(features, p, context);
}

}  // namespace diffprob::model::gpu
