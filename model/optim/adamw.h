#pragma once

#include <vector>

#include "model/optim/optimizer.h"
#include "model/optim/options.h"

namespace diffprob::model {

/// AdamW as PyTorch has it, on lists of tensors that belong together entry by entry, whole
/// parameters or rows of them: p -= lr * wd * p; m = beta1 * m + (1 - beta1) * g; v = beta2 * v +
/// (1 - beta2) * g^2; p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon).
/// Parameters and state may be stored in 16 bit while gradients are float32: computed in float32,
/// rounded when stored.
struct AdamWState {
  at::TensorList exp_avg;     ///< m
  at::TensorList exp_avg_sq;  ///< v
  at::TensorList steps;  ///< t, counting this update: a float32 scalar an entry, on its device;
                         ///< entries may share one
};
void adamw_update(at::TensorList parameters, at::TensorList gradients, const AdamWState& state,
                  const AdamWOptions& options, const StepControl& control);
/// Before adamw_update, once an update (however many chunks it is made in): t += 1, unless the
/// update is skipped.
void advance_steps(at::TensorList steps, const StepControl& control);

class AdamW final : public Optimizer {
 public:
  /// Decay on all parameters.
  AdamW(std::vector<at::Tensor> parameters, AdamWOptions options);
  /// Own decay for each parameter (options.weight_decay is not used); see model::weight_decays.
  AdamW(std::vector<at::Tensor> parameters, AdamWOptions options,
        const std::vector<double>& weight_decays);

  [[nodiscard]] std::vector<OptimizerState> state() override;

 private:
  void update(const std::vector<std::size_t>& which, double weight_decay,
              const StepControl& control) override;

  AdamWOptions options_;
  std::vector<at::Tensor> exp_avg_;
  std::vector<at::Tensor> exp_avg_sq_;
  std::vector<at::Tensor> steps_;
};

}  // namespace diffprob::model
