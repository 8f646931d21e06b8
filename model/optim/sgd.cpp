#include "model/optim/sgd.h"

namespace diffprob::model {
namespace {

void check(const SgdOptions& options) {
  TORCH_CHECK(!options.nesterov || options.momentum > 0,
              "SGD: Nesterov needs a positive momentum, got ", options.momentum);
}

/// Any types and layouts, with temporaries the size of the tensor.
void update_one(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& momentum,
                const SgdOptions& options, const StepControl& control) {
  const auto type = at::promote_types(gradient.scalar_type(),
                                      at::promote_types(parameter.scalar_type(), at::kFloat));
  const at::Tensor old = parameter.to(type);
  const at::Tensor decayed = at::add(divided(gradient, type, control), old, options.weight_decay);
  const at::Tensor velocity = at::add(decayed, momentum.to(type), options.momentum);
  const at::Tensor direction =
      options.nesterov ? at::add(decayed, velocity, options.momentum) : velocity;
  store(parameter, at::sub(old, direction, control.learning_rate), control);
  store(momentum, velocity, control);
}

}  // namespace

void sgd_update(at::TensorList parameters, at::TensorList gradients, at::TensorList momenta,
                const SgdOptions& options, const StepControl& control) {
  check(options);
  const at::NoGradGuard no_grad;
  const auto lists = matching_lists({parameters, gradients, momenta});
  if (lists[0].empty()) return;
  if (!can_fuse(lists)) {
    refuse_device_rate(control, "SGD without the fused kernel");
    for (std::size_t i = 0; i < lists[0].size(); ++i)
      update_one(lists[0][i], lists[1][i], lists[2][i], options, control);
    return;
  }
  // Without a momentum the kernel wants no buffers, and the momenta stay zero.
  const at::TensorList buffers =
      options.momentum == 0 ? at::TensorList() : at::TensorList(lists[2]);
  const auto divisor = fused_divisor(control, lists[1]);
  if (control.device_rate.defined()) {
    at::_fused_sgd_(lists[0], lists[1], buffers, options.weight_decay, options.momentum,
                    control.device_rate, /*dampening=*/0, options.nesterov, /*maximize=*/false,
                    /*is_first_step=*/false, divisor, skip_flag(control));
    return;
  }
  at::_fused_sgd_(lists[0], lists[1], buffers, options.weight_decay, options.momentum,
                  control.learning_rate, /*dampening=*/0, options.nesterov, /*maximize=*/false,
                  /*is_first_step=*/false, divisor, skip_flag(control));
}

Sgd::Sgd(std::vector<at::Tensor> parameters, SgdOptions options)
    : Sgd(parameters, options, std::vector<double>(parameters.size(), options.weight_decay)) {}

Sgd::Sgd(std::vector<at::Tensor> parameters, SgdOptions options,
         const std::vector<double>& weight_decays)
    : Optimizer(std::move(parameters), weight_decays),
      options_(options),
      momenta_(zeros_like_parameters()) {
  check(options_);
}

void Sgd::update(const std::vector<std::size_t>& which, double weight_decay,
                 const StepControl& control) {
  const auto updated = pick(parameters(), which);
  SgdOptions options = options_;
  options.weight_decay = weight_decay;
  sgd_update(updated, gradients_of(updated), pick(momenta_, which), options, control);
}

}  // namespace diffprob::model
