#include "model/optim/adamw.h"

namespace diffprob::model {
namespace {

/// 1 - beta^t in float64: for beta2 = 0.999 float32 would lose three digits at the first step.
at::Tensor bias_correction(double beta, const at::Tensor& step) {
  return 1 - at::pow(beta, step.to(at::kDouble));
}

struct EntryState {
  const at::Tensor& exp_avg;
  const at::Tensor& exp_avg_sq;
  const at::Tensor& step;
};

/// Any types and layouts, with temporaries the size of the tensor.
void update_one(const at::Tensor& parameter, const at::Tensor& gradient, const EntryState& state,
                const AdamWOptions& options, const StepControl& control) {
  const auto type = at::promote_types(gradient.scalar_type(),
                                      at::promote_types(parameter.scalar_type(), at::kFloat));
  const at::Tensor slope = divided(gradient, type, control);
  const at::Tensor mean = state.exp_avg.to(type) * options.beta1 + slope * (1 - options.beta1);
  const at::Tensor square =
      state.exp_avg_sq.to(type) * options.beta2 + slope * slope * (1 - options.beta2);
  const at::Tensor scale = bias_correction(options.beta2, state.step).sqrt().to(type);
  const at::Tensor size =
      (control.learning_rate / bias_correction(options.beta1, state.step)).to(type);
  const at::Tensor decayed =
      parameter.to(type) * (1 - control.learning_rate * options.weight_decay);
  store(parameter, decayed - size * mean / (square.sqrt() / scale + options.epsilon), control);
  store(state.exp_avg, mean, control);
  store(state.exp_avg_sq, square, control);
}

}  // namespace

void adamw_update(at::TensorList parameters, at::TensorList gradients, const AdamWState& state,
                  const AdamWOptions& options, const StepControl& control) {
  TORCH_CHECK(state.steps.size() == parameters.size(), "AdamW: ", parameters.size(),
              " parameters, but ", state.steps.size(), " step counts");
  const at::NoGradGuard no_grad;
  const auto lists = matching_lists({parameters, gradients, state.exp_avg, state.exp_avg_sq});
  std::vector<at::Tensor> steps;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].numel() > 0) steps.push_back(state.steps[i]);
  }
  if (steps.empty()) return;
  if (!can_fuse(lists)) {
    refuse_device_rate(control, "AdamW without the fused kernel");
    for (std::size_t i = 0; i < steps.size(); ++i) {
      update_one(lists[0][i], lists[1][i], {lists[2][i], lists[3][i], steps[i]}, options, control);
    }
    return;
  }
  const auto update = [&](const auto& rate) {
    at::_fused_adamw_(lists[0], lists[1], lists[2], lists[3], /*max_exp_avg_sqs=*/{}, steps, rate,
                      options.beta1, options.beta2, options.weight_decay, options.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false, fused_divisor(control, lists[1]),
                      skip_flag(control));
  };
  if (control.device_rate.defined()) {
    update(control.device_rate);
  } else {
    update(control.learning_rate);
  }
}

void advance_steps(at::TensorList steps, const StepControl& control) {
  const at::NoGradGuard no_grad;
  if (steps.empty()) return;
  if (control.do_update.defined()) {
    at::_foreach_add_(
        steps, std::vector<at::Tensor>(steps.size(), (control.do_update != 0).to(at::kFloat)));
  } else {
    at::_foreach_add_(steps, 1);
  }
}

AdamW::AdamW(std::vector<at::Tensor> parameters, AdamWOptions options)
    : AdamW(parameters, options, std::vector<double>(parameters.size(), options.weight_decay)) {}

AdamW::AdamW(std::vector<at::Tensor> parameters, AdamWOptions options,
             const std::vector<double>& weight_decays)
    : Optimizer(std::move(parameters), weight_decays),
      options_(options),
      exp_avg_(zeros_like_parameters()),
      exp_avg_sq_(zeros_like_parameters()) {
  for (const auto& parameter : this->parameters())
    steps_.push_back(at::zeros({}, parameter.options().dtype(at::kFloat).requires_grad(false)));
}

std::vector<OptimizerState> AdamW::state() {
  return {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}, {"step", steps_}};
}

void AdamW::update(const std::vector<std::size_t>& which, double weight_decay,
                   const StepControl& control) {
  const auto updated = pick(parameters(), which);
  const auto exp_avg = pick(exp_avg_, which);
  const auto exp_avg_sq = pick(exp_avg_sq_, which);
  const auto steps = pick(steps_, which);
  advance_steps(steps, control);
  AdamWOptions options = options_;
  options.weight_decay = weight_decay;
  adamw_update(updated, gradients_of(updated), {exp_avg, exp_avg_sq, steps}, options, control);
}

}  // namespace diffprob::model
