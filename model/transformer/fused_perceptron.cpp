#include "model/transformer/fused_perceptron.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>

#include "model/networks/fused_linear.h"

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kMost = 6;  // of ReLU6

struct PerceptronFunction : torch::autograd::Function<PerceptronFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight1,
                            const at::Tensor& bias1, const at::Tensor& weight2,
                            const at::Tensor& bias2) {
    at::Tensor hidden = at::addmm(bias1, x, weight1.t());
    at::hardtanh_(hidden, 0, kMost);
    ctx->save_for_backward({x, weight1, weight2, hidden});
    return at::addmm(bias2, hidden, weight2.t());
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight1 = saved[1], &weight2 = saved[2], &hidden = saved[3];
    const at::Tensor& grad = grads[0];
    if (!grad.defined()) return {{}, {}, {}, {}, {}};
    at::Tensor inner = grad.mm(weight2);
    at::hardtanh_backward_out(inner, inner, hidden, 0, kMost);
    return {inner.mm(weight1), inner.t().mm(x), inner.sum(0), grad.t().mm(hidden), grad.sum(0)};
  }
};

}  // namespace

at::Tensor perceptron(torch::nn::LinearImpl& fc1, torch::nn::LinearImpl& fc2, const at::Tensor& x) {
  if (at::autocast::is_autocast_enabled(x.device().type()) ||
      x.scalar_type() != fc1.weight.scalar_type())
    return linear(fc2, at::relu6(linear(fc1, x)));
  return PerceptronFunction::apply(x, fc1.weight, fc1.bias, fc2.weight, fc2.bias);
}

}  // namespace diffprob::model
