#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< added to the gradient, on all parameters
};

/// SGD with momentum as PyTorch has it: g' = g + wd * p; v = g' at the first step, else momentum * v + g'; p -= lr * v.
/// Multi-tensor updates; gradients are not changed.
class Sgd {
 public:
  Sgd(std::vector<at::Tensor> parameters, SgdOptions options);
  /// Parameters without a gradient are left alone.
  void step(double learning_rate);
  /// Momenta in parameter order, for checkpoints; undefined before a parameter's first step.
  [[nodiscard]] std::vector<at::Tensor>& momenta() noexcept { return momenta_; }

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> momenta_;
  SgdOptions options_;
};

/// Scales the gradients so that their joint L2 norm is at most max_norm (PyTorch's rule: factor max_norm / (norm + 1e-6), at most 1).
/// No host synchronisation. Returns the norm before clipping, scalar tensor.
at::Tensor clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm);

}  // namespace diffprob::model
