#include "model/sgd.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace diffprob::model {

Sgd::Sgd(std::vector<at::Tensor> parameters, SgdOptions options)
    : parameters_(std::move(parameters)), momenta_(parameters_.size()), options_(options) {}

void Sgd::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> parameters, momenta, old_parameters, old_gradients, old_momenta;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& parameter = parameters_[i];
    const at::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    if (momenta_[i].defined()) {
      old_parameters.push_back(parameter);
      old_gradients.push_back(gradient);
      old_momenta.push_back(momenta_[i]);
    } else {
      momenta_[i] = at::add(gradient, parameter, options_.weight_decay);
    }
    parameters.push_back(parameter);
    momenta.push_back(momenta_[i]);
  }
  if (parameters.empty()) return;

  // The decay goes to the momentum, not to the gradient: no temporary the size of the model, and the gradients stay as they are.
  if (!old_momenta.empty()) {
    at::_foreach_mul_(old_momenta, options_.momentum);
    at::_foreach_add_(old_momenta, old_gradients);
    at::_foreach_add_(old_momenta, old_parameters, options_.weight_decay);
  }
  at::_foreach_add_(parameters, momenta, -learning_rate);
}

at::Tensor clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  if (gradients.empty()) return at::zeros({});

  const at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2)), 2);
  // The factor stays on the device; multiplying by 1 costs less than asking the device whether it is 1.
  const at::Tensor factor = at::add(norm, 1e-6).reciprocal_().mul_(max_norm).clamp_max_(1.0);
  at::_foreach_mul_(gradients, factor);
  return norm;
}

}  // namespace diffprob::model
