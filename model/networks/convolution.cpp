#include "model/networks/convolution.h"

#include <array>
#include <tuple>
#include <variant>

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "model/networks/sixteen_bit_weights.h"

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::array<std::int64_t, 2> kNoDilation = {1, 1};
constexpr std::array<std::int64_t, 2> kNoOutputPadding = {0, 0};

/// A convolution without bias or dilation.
struct Geometry {
  std::vector<std::int64_t> stride, padding;
  std::int64_t groups;
};

/// One pass; tensors that need a gradient are arguments of their own.
struct Pass {
  at::Tensor copy;  ///< of the weight, in the type of x
  Geometry geometry;
  dist::GradientPlaces* places;
};

/// As LibTorch's convolution by `copy`, but the gradient is of the float32 weight, and is where it
/// is to lie when it is computed.
struct ConvolutionFunction : torch::autograd::Function<ConvolutionFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const Pass& pass) {
    ctx->save_for_backward({x, weight, pass.copy});
    ctx->saved_data["stride"] = pass.geometry.stride;
    ctx->saved_data["padding"] = pass.geometry.padding;
    ctx->saved_data["groups"] = pass.geometry.groups;
    ctx->saved_data["places"] =
        static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(pass.places));
    return at::convolution(x, pass.copy, {}, pass.geometry.stride, pass.geometry.padding,
                           kNoDilation, /*transposed=*/false, kNoOutputPadding,
                           pass.geometry.groups);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    if (!grads[0].defined()) return {{}, {}, {}};
    const auto [grad_x, grad_copy, no_bias] = at::convolution_backward(
        grads[0], saved[0], saved[2], at::OptionalIntArrayRef(),
        ctx->saved_data["stride"].toIntVector(), ctx->saved_data["padding"].toIntVector(),
        kNoDilation, /*transposed=*/false, kNoOutputPadding, ctx->saved_data["groups"].toInt(),
        {ctx->needs_input_grad(0), ctx->needs_input_grad(1), false});
    return {grad_x, grad_copy.defined() ? wide(grad_copy, saved[1], ctx) : at::Tensor(), {}};
  }

 private:
  static at::Tensor wide(const at::Tensor& grad, const at::Tensor& weight, AutogradContext* ctx) {
    auto* places = reinterpret_cast<dist::GradientPlaces*>(
        static_cast<std::intptr_t>(ctx->saved_data["places"].toInt()));
    at::Tensor place = places != nullptr ? places->take(weight) : at::Tensor();
    if (!place.defined()) return grad.to(weight.scalar_type());
    return place.copy_(grad);
  }
};

}  // namespace

at::Tensor weight_as(const torch::nn::Conv2dImpl& layer, at::ScalarType type,
                     const ConvolutionContext& context) {
  const at::Tensor copy =
      context.weights != nullptr ? context.weights->of(layer.weight) : at::Tensor();
  return copy.defined() && copy.scalar_type() == type ? copy : layer.weight.detach().to(type);
}

at::Tensor convolution(torch::nn::Conv2dImpl& layer, const at::Tensor& x,
                       const ConvolutionContext& context) {
  const at::Tensor copy = context.weights != nullptr && layer.is_training()
                              ? context.weights->of(layer.weight)
                              : at::Tensor();
  if (!copy.defined() || layer.bias.defined()) return layer.forward(x);
  const auto& padding = std::get<torch::ExpandingArray<2>>(layer.options.padding());
  const Geometry geometry = {at::IntArrayRef(*layer.options.stride()).vec(),
                             at::IntArrayRef(*padding).vec(), layer.options.groups()};
  return ConvolutionFunction::apply(x.to(copy.scalar_type()), layer.weight,
                                    Pass{copy, geometry, context.places});
}

}  // namespace diffprob::model
