#include "model/folded_norm/folded_norm.h"

#include <array>
#include <tuple>
#include <variant>

#include <ATen/ATen.h>
#include <torch/autograd.h>

#include "model/batch_norm/saved_pass.h"
#include "model/batch_norm/statistics.h"
#include "model/folded_norm/ops.h"

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::array<std::int64_t, 2> kOnes = {1, 1};
constexpr std::array<std::int64_t, 2> kZeros = {0, 0};

/// What one pass has besides tensors that gradients flow to.
struct Pass {
  SavedPass saved;
  at::Tensor copy;       ///< of the weight, in the type of x
  at::Tensor* constant;  ///< written: what all pixels of the output lack
};

/// Saves x, which is the input of both layers.
struct FoldedNormFunction : torch::autograd::Function<FoldedNormFunction> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x,
                               const at::Tensor& norm_weight, const at::Tensor& norm_bias,
                               const at::Tensor& weight, const Pass& pass) {
    const FoldedWeight folded =
        fold(weight, {norm_weight, norm_bias, {}}, pass.saved.statistics, x.scalar_type());
    const at::Tensor y = at::convolution(x, folded.weight, {}, kOnes, kOnes, kOnes,
                                         /*transposed=*/false, kZeros, /*groups=*/1);
    add_border(y, folded.border);
    *pass.constant = folded.constant;
    ctx->save_for_backward({x, norm_weight, norm_bias, weight, pass.copy});
    pass.saved.save(*ctx);
    return {y, x};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[3];
    const BatchAffine affine = {saved[1], saved[2], {}};
    const SavedPass pass = SavedPass::load(*ctx);
    TORCH_CHECK(grads[0].defined(), "folded batch norm: its output has no gradient");
    const at::Tensor grad = laid_out_as(grads[0], x);
    // By the weight as it is: this is the gradient of BN's output.
    const auto [grad_a, with_x, no_bias] = at::convolution_backward(
        grad, x, saved[4], at::OptionalIntArrayRef(), kOnes, kOnes, kOnes, /*transposed=*/false,
        kZeros, /*groups=*/1, {ctx->needs_input_grad(0), true, false});
    at::Tensor weight_gradient = pass.place_of(weight);
    if (!weight_gradient.defined())
      weight_gradient = at::empty_like(weight, weight.options().requires_grad(false));
    const BatchGradientSums local = folded_gradients(
        {with_x, sums_inside(grad)}, weight, weight_gradient, affine, pass.statistics,
        {pass.place_of(affine.weight), pass.place_of(affine.bias), {}});
    const at::Tensor sums = pass.over_all_ranks(local.sums);
    at::Tensor grad_x;
    if (ctx->needs_input_grad(0))
      grad_x = pass.input_gradient({laid_out_as(grad_a, x), grads[1]}, x, affine, sums);
    return {grad_x, local.weight, local.bias, weight_gradient, {}};
  }
};

bool is_plain_3x3(const torch::nn::Conv2dImpl& layer) {
  const auto& options = layer.options;
  const auto* padding = std::get_if<torch::ExpandingArray<2>>(&options.padding());
  const auto is = [](const torch::ExpandingArray<2>& sizes, std::int64_t wanted) {
    return (*sizes)[0] == wanted && (*sizes)[1] == wanted;
  };
  return is(options.kernel_size(), 3) && is(options.stride(), 1) && padding != nullptr &&
         is(*padding, 1) && is(options.dilation(), 1) && options.groups() == 1 &&
         !layer.bias.defined();
}

}  // namespace

bool can_fold(const torch::nn::BatchNorm2dImpl& bn, const torch::nn::Conv2dImpl& convolution,
              const at::Tensor& x, const BatchNormContext& context) {
  constexpr std::int64_t kChannels = 8;  // that the kernels of the next batch norm take at a time
  return context.fused && bn.is_training() && bn.weight.defined() && bn.bias.defined() &&
         bn.weight.scalar_type() == at::kFloat && has_batch_kernels(x) &&
         is_plain_3x3(convolution) && convolution.weight.scalar_type() == at::kFloat &&
         convolution.weight.size(0) % kChannels == 0;
}

std::pair<at::Tensor, at::Tensor> folded_norm_convolution(torch::nn::BatchNorm2dImpl& bn,
                                                          torch::nn::Conv2dImpl& convolution,
                                                          const at::Tensor& copy,
                                                          const at::Tensor& x,
                                                          BatchNormContext& context) {
  const BatchNormLayer layer = layer_of(bn);
  const BatchNormContext::Output input = context.take_output(x);
  at::Tensor constant;
  const Pass pass = {{statistics_of(layer, x, input, context), context.sync, context.places,
                      /*of_output=*/{}, input.gradient},
                     copy,
                     &constant};
  const variable_list both =
      FoldedNormFunction::apply(x, bn.weight, bn.bias, convolution.weight, pass);
  context.output = {both[0].detach(), {}, {}, constant};
  return {both[0], both[1]};
}

}  // namespace diffprob::model
