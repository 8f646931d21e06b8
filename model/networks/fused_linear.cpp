#include "model/networks/fused_linear.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["bias"] = bias.has_value();
    return bias.has_value() ? at::addmm(*bias, x, weight.t()) : at::mm(x, weight.t());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& grad = grads[0];
    if (!grad.defined()) return {{}, {}, {}};
    return {grad.mm(saved[1]), grad.t().mm(saved[0]),
            ctx->saved_data["bias"].toBool() ? grad.sum(0) : at::Tensor()};
  }
};

}  // namespace

at::Tensor linear(torch::nn::LinearImpl& layer, const at::Tensor& x) {
  // Autocast chooses the types of LibTorch's operators, not of ours.
  const bool autocast = at::autocast::is_autocast_enabled(x.device().type());
  if (autocast || x.dim() != 2 || x.scalar_type() != layer.weight.scalar_type())
    return layer.forward(x);
  return LinearFunction::apply(
      x, layer.weight, layer.bias.defined() ? std::optional<at::Tensor>(layer.bias) : std::nullopt);
}

}  // namespace diffprob::model
