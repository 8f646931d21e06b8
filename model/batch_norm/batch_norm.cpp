#include "model/batch_norm/batch_norm.h"

#include <torch/autograd.h>

#include "model/batch_norm/ops.h"
#include "model/batch_norm/saved_pass.h"
#include "model/batch_norm/statistics.h"

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<at::Tensor>;

at::Tensor or_undefined(const MaybeTensor& tensor) {
  return tensor.value_or(at::Tensor());
}

MaybeTensor maybe(const at::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

/// What one pass has besides tensors that gradients flow to.
struct Pass {
  SavedPass saved;
  bool fork;                   ///< return x as a second output
  at::Tensor* sums_of_output;  ///< null: not needed
};

/// Saves only x and recomputes everything else in the backward pass. Tensors that need a gradient
/// are arguments of their own: autograd does not look into structs.
struct BatchNormFunction : torch::autograd::Function<BatchNormFunction> {
  /// Returns {y} or, with `fork`, {y, x}.
  // NOLINTNEXTLINE(readability-function-size): autograd wants every tensor as an argument
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& weight,
                               const MaybeTensor& bias, const MaybeTensor& slope,
                               const MaybeTensor& residual, const Pass& pass) {
    const BatchAffine affine = {or_undefined(weight), or_undefined(bias), or_undefined(slope)};
    const at::Tensor y = batch_normalize(x, affine, pass.saved.statistics, or_undefined(residual),
                                         pass.sums_of_output);
    ctx->save_for_backward({x, affine.weight, affine.bias, affine.slope});
    ctx->saved_data["residual"] = residual.has_value();
    pass.saved.save(*ctx);
    return pass.fork ? variable_list{y, x} : variable_list{y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const BatchAffine affine = {saved[1], saved[2], saved[3]};
    const SavedPass pass = SavedPass::load(*ctx);
    const at::Tensor extra = grads.size() > 1 ? grads[1] : at::Tensor();
    const at::Tensor grad = laid_out_as(grads[0].defined() ? grads[0] : at::zeros_like(x), x);
    const BatchAffine places = {pass.place_of(affine.weight), pass.place_of(affine.bias),
                                pass.place_of(affine.slope)};
    const BatchGradientSums local =
        batch_gradient_sums(grad, x, affine, pass.statistics, places, pass.take_sums(grad));
    const at::Tensor sums = pass.over_all_ranks(local.sums);
    at::Tensor grad_x;
    if (ctx->needs_input_grad(0)) grad_x = pass.input_gradient({grad, extra}, x, affine, sums);
    return {grad_x,
            local.weight,
            local.bias,
            local.slope,
            ctx->saved_data["residual"].toBool() ? grads[0] : at::Tensor(),
            {}};
  }
};

/// Uses LibTorch's operators; a repetition leaves the running statistics alone.
template <class Norm>
at::Tensor library_batch_norm(Norm& bn, const at::Tensor& x, BatchNormContext& context) {
  const at::Tensor lacks = context.take_output(x).lacks;
  const bool training = bn.is_training();
  const bool repeating = context.tape != nullptr && context.repeating;
  if (training && !repeating && bn.num_batches_tracked.defined()) bn.num_batches_tracked += 1;
  const bool no_running = training && repeating;
  const double momentum = bn.options.momentum().value_or(0.1);
  at::Tensor y = at::batch_norm(x, bn.weight, bn.bias, no_running ? at::Tensor() : bn.running_mean,
                                no_running ? at::Tensor() : bn.running_var, training, momentum,
                                bn.options.eps(), at::globalContext().userEnabledCuDNN());
  // Autograd holds the running mean, and would take this for a change under its hands.
  if (training && !repeating && lacks.defined() && bn.running_mean.defined())
    bn.running_mean.variable_data().add_(lacks, momentum);
  return y;
}

/// Returns true where this file's function has to run: our kernels apply, or statistics go over
/// several ranks. The GPU's kernels need float32 layers, whatever type x has.
template <class Norm>
bool is_ours(const Norm& bn, const at::Tensor& x, const BatchNormContext& context) {
  const bool wide = bn.running_mean.defined() && bn.running_mean.scalar_type() == at::kFloat;
  return (context.fused && (x.is_cpu() || wide) && has_batch_kernels(x)) ||
         (context.sync != nullptr && bn.is_training());
}

/// What is fused with a batch norm; undefined: absent.
struct FusedWith {
  at::Tensor slope{};
  at::Tensor residual{};
  bool fork = false;  ///< return x as a second output
};

variable_list fused_batch_norm(const BatchNormLayer& bn, const at::Tensor& x,
                               const FusedWith& parts, BatchNormContext& context,
                               OutputGoesTo next = OutputGoesTo::kOtherLayer) {
  const BatchNormContext::Output input = context.take_output(x);
  const BatchStatistics statistics = statistics_of(bn, x, input, context);
  const bool summing = context.sum_outputs && next == OutputGoesTo::kBatchNorm && bn.training &&
                       !context.repeating && has_batch_kernels(x);
  Pass pass{{statistics, context.sync, context.places}, parts.fork, nullptr};
  if (!parts.slope.defined()) pass.saved.of_input = input.gradient;  // else too many registers
  at::Tensor sums;
  if (summing) pass.sums_of_output = &sums;
  if (summing && !parts.slope.defined() && at::GradMode::is_enabled()) {
    pass.saved.of_output = c10::make_intrusive<OutputGradient>();
    pass.saved.of_output->layer = {x.detach(), statistics.mean, {}};
  }
  const variable_list found =
      BatchNormFunction::apply(x, maybe(bn.affine.weight), maybe(bn.affine.bias),
                               maybe(parts.slope), maybe(parts.residual), pass);
  if (summing) context.output = {found[0].detach(), sums, pass.saved.of_output};
  return found;
}

template <class Norm>
at::Tensor plain_batch_norm(Norm& bn, const at::Tensor& x, BatchNormContext& context) {
  if (!is_ours(bn, x, context)) return library_batch_norm(bn, x, context);
  return fused_batch_norm(layer_of(bn), x, {}, context)[0];
}

}  // namespace

at::Tensor batch_norm(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                      BatchNormContext& context) {
  return plain_batch_norm(bn, x, context);
}

at::Tensor batch_norm(torch::nn::BatchNorm1dImpl& bn, const at::Tensor& x,
                      BatchNormContext& context) {
  return plain_batch_norm(bn, x, context);
}

at::Tensor batch_norm_prelu(torch::nn::BatchNorm2dImpl& bn, torch::nn::PReLUImpl& prelu,
                            const at::Tensor& x, BatchNormContext& context, OutputGoesTo next) {
  if (!is_ours(bn, x, context)) {
    const at::Tensor z = library_batch_norm(bn, x, context);
    return at::prelu(z, prelu.weight.to(z.scalar_type()));
  }
  return fused_batch_norm(layer_of(bn), x, {.slope = prelu.weight}, context, next)[0];
}

at::Tensor batch_norm_add(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                          const at::Tensor& residual, BatchNormContext& context,
                          OutputGoesTo next) {
  if (!is_ours(bn, x, context)) return library_batch_norm(bn, x, context).add_(residual);
  return fused_batch_norm(layer_of(bn), x, {.residual = residual}, context, next)[0];
}

std::pair<at::Tensor, at::Tensor> batch_norm_fork(torch::nn::BatchNorm2dImpl& bn,
                                                  const at::Tensor& x, BatchNormContext& context) {
  if (!is_ours(bn, x, context)) return {library_batch_norm(bn, x, context), x};
  const variable_list both = fused_batch_norm(layer_of(bn), x, {.fork = true}, context);
  return {both[0], both[1]};
}

}  // namespace diffprob::model
