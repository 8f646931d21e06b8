#include "model/batch_norm/batch_norm.h"

#include <torch/autograd.h>

#include "model/batch_norm/ops.h"

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

/// Returns the gradient in the layout of x: the kernels walk both with the same index.
at::Tensor laid_out_as(const at::Tensor& grad, const at::Tensor& x) {
  const bool channels_last = x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  return grad.contiguous(channels_last ? at::MemoryFormat::ChannelsLast
                                       : at::MemoryFormat::Contiguous);
}

/// Returns true if both are views of the same numbers, in the same order.
bool same_values(const at::Tensor& a, const at::Tensor& b) {
  return a.is_alias_of(b) && a.sizes() == b.sizes() && a.strides() == b.strides() &&
         a.storage_offset() == b.storage_offset();
}

/// What one pass has besides tensors that gradients flow to.
struct Pass {
  BatchStatistics statistics;
  bool fork;  ///< return x as a second output
  dist::Communicator* sync;
  dist::GradientPlaces* places;
  at::Tensor* sums_of_output;                      ///< null: not needed
  c10::intrusive_ptr<OutputGradient> of_output{};  ///< null: the next layer does not sum it up
  c10::intrusive_ptr<OutputGradient> of_input{};   ///< null: the layer before needs no sums
};

/// Saves only x and recomputes everything else in the backward pass. Tensors that need a gradient
/// are arguments of their own: autograd does not look into structs.
struct BatchNormFunction : torch::autograd::Function<BatchNormFunction> {
  /// Returns {y} or, with `fork`, {y, x}.
  // NOLINTNEXTLINE(readability-function-size): autograd wants every tensor as an argument
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const MaybeTensor& weight,
                               const MaybeTensor& bias, const MaybeTensor& slope,
                               const MaybeTensor& residual, const Pass& pass) {
    const BatchStatistics& statistics = pass.statistics;
    const BatchAffine affine = {or_undefined(weight), or_undefined(bias), or_undefined(slope)};
    const at::Tensor y =
        batch_normalize(x, affine, statistics, or_undefined(residual), pass.sums_of_output);
    ctx->save_for_backward({x, affine.weight, affine.bias, affine.slope, statistics.mean,
                            statistics.inv_std, statistics.shared_count});
    ctx->saved_data["count"] = statistics.count;
    ctx->saved_data["frozen"] = statistics.frozen;
    ctx->saved_data["residual"] = residual.has_value();
    ctx->saved_data["sync"] = as_number(pass.sync);
    ctx->saved_data["places"] = as_number(pass.places);
    keep(pass.of_output, "of_output", ctx);
    keep(pass.of_input, "of_input", ctx);
    return pass.fork ? variable_list{y, x} : variable_list{y};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const BatchAffine affine = {saved[1], saved[2], saved[3]};
    const BatchStatistics statistics = {saved[4], saved[5], ctx->saved_data["count"].toDouble(),
                                        saved[6], ctx->saved_data["frozen"].toBool()};
    const at::Tensor extra = grads.size() > 1 ? grads[1] : at::Tensor();
    const at::Tensor grad = laid_out_as(grads[0].defined() ? grads[0] : at::zeros_like(x), x);
    const BatchGradientSums local = batch_gradient_sums(
        grad, x, affine, statistics, places_of(affine, ctx), take_sums(grad, ctx));
    const at::Tensor sums = over_all_ranks(local.sums, ctx, statistics);
    at::Tensor grad_x;
    if (ctx->needs_input_grad(0)) {
      OutputGradient* input = kept(ctx, "of_input");
      grad_x = batch_input_gradient({grad, extra}, x, affine, statistics, sums,
                                    input != nullptr ? &input->layer : nullptr);
      if (input != nullptr) {
        input->layer.x = at::Tensor();
        input->written = grad_x;
      }
    }
    return {grad_x,
            local.weight,
            local.bias,
            local.slope,
            ctx->saved_data["residual"].toBool() ? grads[0] : at::Tensor(),
            {}};
  }

 private:
  /// Autograd keeps numbers, but no pointers.
  template <class T>
  static std::int64_t as_number(T* pointer) {
    return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(pointer));
  }
  template <class T>
  static T* pointer_of(AutogradContext* ctx, const char* name) {
    return reinterpret_cast<T*>(static_cast<std::intptr_t>(ctx->saved_data[name].toInt()));
  }

  static void keep(const c10::intrusive_ptr<OutputGradient>& link, const char* name,
                   AutogradContext* ctx) {
    if (link) ctx->saved_data[name] = c10::IValue::make_capsule(link);
  }
  static OutputGradient* kept(AutogradContext* ctx, const char* name) {
    const auto found = ctx->saved_data.find(name);
    if (found == ctx->saved_data.end()) return nullptr;
    return static_cast<OutputGradient*>(found->second.toCapsule().get());
  }

  /// Returns the sums that the next layer took of `grad` when it wrote it; undefined if none did,
  /// or if the gradient of this output has come another way.
  static at::Tensor take_sums(const at::Tensor& grad, AutogradContext* ctx) {
    OutputGradient* output = kept(ctx, "of_output");
    if (output == nullptr) return {};
    const bool same = output->written.defined() && same_values(output->written, grad);
    const at::Tensor sums = same ? output->layer.sums : at::Tensor();
    output->written = output->layer.sums = output->layer.x = at::Tensor();
    return sums;
  }

  static BatchAffine places_of(const BatchAffine& affine, AutogradContext* ctx) {
    auto* places = pointer_of<dist::GradientPlaces>(ctx, "places");
    const auto place = [places](const at::Tensor& parameter) {
      return places != nullptr && parameter.defined() && parameter.requires_grad()
                 ? places->take(parameter)
                 : at::Tensor();
    };
    return {place(affine.weight), place(affine.bias), place(affine.slope)};
  }

  static at::Tensor over_all_ranks(const at::Tensor& local_sums, AutogradContext* ctx,
                                   const BatchStatistics& statistics) {
    auto* sync = pointer_of<dist::Communicator>(ctx, "sync");
    if (sync == nullptr || statistics.frozen) return local_sums;
    at::Tensor sums = local_sums.slice(0, 0, 2).clone();
    sync->all_reduce(sums)->wait_stream();
    return sums;
  }
};

template <class Norm>
RunningStatistics running_of(const Norm& bn) {
  if (!bn.running_mean.defined()) return {};
  TORCH_CHECK(bn.options.momentum().has_value(),
              "batch norm: cumulative averages are not supported; set a momentum");
  return {bn.running_mean, bn.running_var, bn.num_batches_tracked, *bn.options.momentum()};
}

template <class Norm>
BatchStatistics frozen_statistics(const Norm& bn) {
  const at::Tensor mean = bn.running_mean.to(at::kDouble);
  return {mean, (bn.running_var.to(at::kDouble) + bn.options.eps()).rsqrt(), 1, {}, true};
}

/// Moments over all ranks, float64.
struct GlobalMoments {
  at::Tensor mean;   ///< [C]
  at::Tensor m2;     ///< [C], sum of (x - mean)^2
  at::Tensor count;  ///< []
};

/// Combines each rank's moments by the distances of the means: sums of x^2 would lose variances far
/// below the mean.
GlobalMoments moments_over_ranks(const at::Tensor& local, std::int64_t local_count,
                                 dist::Communicator& sync) {
  const std::int64_t channels = local.size(1);
  const at::Tensor packed = at::cat({local.flatten(), at::full({1}, local_count, local.options())});
  const at::Tensor all = at::empty({sync.world_size(), packed.numel()}, local.options());
  sync.all_gather(all, packed.unsqueeze(0))->wait_stream();
  const at::Tensor means = all.slice(1, 0, channels), m2s = all.slice(1, channels, 2 * channels),
                   counts = all.slice(1, 2 * channels);
  const at::Tensor count = counts.sum();
  const at::Tensor mean = (means * counts).sum(0) / count;
  return {mean, (m2s + counts * (means - mean).square()).sum(0), count};
}

/// Computes the statistics of this batch, over the batches of all ranks when `sync` is set
/// (collective then), and updates the running statistics.
template <class Norm>
BatchStatistics training_statistics(const Norm& bn, const at::Tensor& x, const at::Tensor& sums,
                                    dist::Communicator* sync) {
  const std::int64_t local_count = x.numel() / x.size(1);
  TORCH_CHECK(sync != nullptr || local_count > 1,
              "batch norm: expected more than one value per channel in training, got input ",
              x.sizes());
  if (sync == nullptr) return batch_statistics(x, bn.options.eps(), running_of(bn), sums);
  const GlobalMoments moments = moments_over_ranks(batch_moments(x, sums), local_count, *sync);
  const at::Tensor variance = moments.m2 / moments.count;
  update_running(running_of(bn), moments.mean, variance, moments.count);
  return {moments.mean, (variance + bn.options.eps()).rsqrt(), static_cast<double>(local_count),
          moments.count, false};
}

template <class Norm>
BatchStatistics statistics_of(Norm& bn, const at::Tensor& x, const at::Tensor& sums,
                              BatchNormContext& context) {
  const at::NoGradGuard no_grad;
  if (context.tape != nullptr && context.repeating) return context.tape->next();
  BatchStatistics statistics =
      bn.is_training() ? training_statistics(bn, x, sums, context.sync) : frozen_statistics(bn);
  if (context.tape != nullptr) context.tape->keep(statistics);
  return statistics;
}

/// Uses LibTorch's operators; a repetition leaves the running statistics alone.
template <class Norm>
at::Tensor library_batch_norm(Norm& bn, const at::Tensor& x, const BatchNormContext& context) {
  const bool training = bn.is_training();
  const bool repeating = context.tape != nullptr && context.repeating;
  if (training && !repeating && bn.num_batches_tracked.defined()) bn.num_batches_tracked += 1;
  const bool no_running = training && repeating;
  return at::batch_norm(x, bn.weight, bn.bias, no_running ? at::Tensor() : bn.running_mean,
                        no_running ? at::Tensor() : bn.running_var, training,
                        bn.options.momentum().value_or(0.1), bn.options.eps(),
                        at::globalContext().userEnabledCuDNN());
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

template <class Norm>
variable_list fused_batch_norm(Norm& bn, const at::Tensor& x, const FusedWith& parts,
                               BatchNormContext& context,
                               OutputGoesTo next = OutputGoesTo::kOtherLayer) {
  const BatchNormContext::Output input = context.take_output(x);
  const BatchStatistics statistics = statistics_of(bn, x, input.sums, context);
  const bool summing = context.sum_outputs && next == OutputGoesTo::kBatchNorm &&
                       bn.is_training() && !context.repeating && has_batch_kernels(x);
  Pass pass{statistics, parts.fork, context.sync, context.places, nullptr};
  if (!parts.slope.defined()) pass.of_input = input.gradient;  // else too many registers
  at::Tensor sums;
  if (summing) pass.sums_of_output = &sums;
  if (summing && !parts.slope.defined() && at::GradMode::is_enabled()) {
    pass.of_output = c10::make_intrusive<OutputGradient>();
    pass.of_output->layer = {x.detach(), statistics.mean, {}};
  }
  const variable_list found = BatchNormFunction::apply(
      x, maybe(bn.weight), maybe(bn.bias), maybe(parts.slope), maybe(parts.residual), pass);
  if (summing) context.output = {found[0].detach(), sums, pass.of_output};
  return found;
}

template <class Norm>
at::Tensor plain_batch_norm(Norm& bn, const at::Tensor& x, BatchNormContext& context) {
  if (!is_ours(bn, x, context)) return library_batch_norm(bn, x, context);
  return fused_batch_norm(bn, x, {}, context)[0];
}

}  // namespace

const BatchStatistics& StatisticsTape::next() {
  TORCH_CHECK(next_ < kept_.size(),
              "batch norm: a repeated forward pass asks for statistics number ", next_, " of ",
              kept_.size());
  return kept_[next_++];
}

BatchNormContext::Output BatchNormContext::take_output(const at::Tensor& x) {
  Output last = std::exchange(output, {});
  return last.tensor.defined() && same_values(x, last.tensor) ? last : Output{};
}

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
  return fused_batch_norm(bn, x, {.slope = prelu.weight}, context, next)[0];
}

at::Tensor batch_norm_add(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                          const at::Tensor& residual, BatchNormContext& context,
                          OutputGoesTo next) {
  if (!is_ours(bn, x, context)) return library_batch_norm(bn, x, context).add_(residual);
  return fused_batch_norm(bn, x, {.residual = residual}, context, next)[0];
}

std::pair<at::Tensor, at::Tensor> batch_norm_fork(torch::nn::BatchNorm2dImpl& bn,
                                                  const at::Tensor& x, BatchNormContext& context) {
  if (!is_ours(bn, x, context)) return {library_batch_norm(bn, x, context), x};
  const variable_list both = fused_batch_norm(bn, x, {.fork = true}, context);
  return {both[0], both[1]};
}

}  // namespace diffprob::model
