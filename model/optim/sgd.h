#pragma once

#include <vector>

#include "model/optim/optimizer.h"
#include "model/optim/options.h"

namespace diffprob::model {

/// SGD as PyTorch has it (dampening 0): g' = g + wd * p; v = momentum * v + g'; p -= lr * (nesterov
/// ? g' + momentum * v : v). A momentum that starts at zero makes the first step PyTorch's first
/// step. On lists of tensors that belong together entry by entry, whole parameters or rows of them.
/// Parameters and momenta may be stored in 16 bit while gradients are float32: such entries are
/// computed in float32 and rounded when stored.
void sgd_update(at::TensorList parameters, at::TensorList gradients, at::TensorList momenta,
                const SgdOptions& options, const StepControl& control);

/// One pass over memory a step (fused kernels).
class Sgd final : public Optimizer {
 public:
  /// Decay on all parameters.
  Sgd(std::vector<at::Tensor> parameters, SgdOptions options);
  /// Own decay for each parameter (options.weight_decay is not used); see model::weight_decays.
  Sgd(std::vector<at::Tensor> parameters, SgdOptions options,
      const std::vector<double>& weight_decays);

  [[nodiscard]] std::vector<OptimizerState> state() override { return {{"momentum", momenta_}}; }
  /// In parameter order, always defined.
  [[nodiscard]] std::vector<at::Tensor>& momenta() noexcept { return momenta_; }

 private:
  void update(const std::vector<std::size_t>& which, double weight_decay,
              const StepControl& control) override;

  SgdOptions options_;
  std::vector<at::Tensor> momenta_;
};

}  // namespace diffprob::model
