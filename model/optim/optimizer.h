#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Controls one update.
struct StepControl {
  double learning_rate = 0;
  /// Scalar on the parameters' device: 0 leaves parameters and state as they are, bit for bit,
  /// whatever the gradients hold (NaN too); anything else updates. Undefined: always update. Never
  /// read by the host on CUDA.
  at::Tensor do_update;
  /// Scalar float32 on the parameters' device that holds learning_rate, for a step that is captured
  /// once and replayed with other rates. Undefined: learning_rate counts. Taken by the fused
  /// updates of Sgd and AdamW and by HeadSgd's on a GPU, refused by the others.
  at::Tensor device_rate{};
  /// Scalar on the parameters' device that gradients are divided by (gradient_norm); undefined: 1.
  /// Taken by Optimizer::step, not by the updates of class centres.
  at::Tensor gradient_divisor{};
};

/// Throws c10::Error where a rate on the device cannot be taken.
void refuse_device_rate(const StepControl& control, const char* who);

/// One kind of state, an entry a parameter, in parameter order: live tensors that checkpoints copy
/// from and into.
struct OptimizerState {
  std::string suffix;  ///< "momentum", "exp_avg" ...
  std::vector<at::Tensor> tensors;
};

/// Updates a list of parameters from their gradients. State exists from the start, as zeros.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  /// Parameters without a gradient are left alone. Gradients may or may not be divided by
  /// control.gradient_divisor afterwards.
  void step(const StepControl& control);
  void step(double learning_rate) { step(StepControl{learning_rate, {}}); }
  [[nodiscard]] virtual std::vector<OptimizerState> state() = 0;

 protected:
  /// weight_decays: one a parameter. Parameters are updated in groups of the same decay and type.
  Optimizer(std::vector<at::Tensor> parameters, const std::vector<double>& weight_decays);
  [[nodiscard]] const std::vector<at::Tensor>& parameters() const noexcept { return parameters_; }
  [[nodiscard]] std::vector<at::Tensor> zeros_like_parameters() const;

 private:
  /// Of the parameters `which`, all of which have a gradient. Gradient recording is off.
  virtual void update(const std::vector<std::size_t>& which, double weight_decay,
                      const StepControl& control) = 0;

  struct Group {
    double weight_decay;
    std::vector<std::size_t> members;
  };
  std::vector<at::Tensor> parameters_;
  std::vector<Group> groups_;
};

/// Which parameters weight decay acts on.
enum class DecayOn { kAll, kWeights };

/// Names of the parameters that DecayOn::kWeights leaves out: every "bias", all of BatchNorm
/// (modules with a "running_mean") and LayerNorm, and a transformer's "pos_embed" and "mask_token".
[[nodiscard]] std::vector<std::string> decay_exempt(const torch::nn::Module& module);

/// Decay of each parameter of the module that requires a gradient, in the order of
/// module.parameters().
[[nodiscard]] std::vector<double> weight_decays(const torch::nn::Module& module,
                                                double weight_decay, DecayOn decay_on);

// --- for the update rules ---

[[nodiscard]] std::vector<at::Tensor> pick(const std::vector<at::Tensor>& tensors,
                                           const std::vector<std::size_t>& which);
[[nodiscard]] std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters);

/// Lists of equal length whose entries belong together: [0] parameters, [1] gradients, then the
/// state. Entries without elements are left out. Throws c10::Error when lengths or sizes disagree.
[[nodiscard]] std::vector<std::vector<at::Tensor>> matching_lists(
    const std::vector<at::TensorList>& lists);

/// Whether PyTorch's fused kernels may run on the lists: one type and, entry by entry, the same
/// dense memory layout.
[[nodiscard]] bool can_fuse(const std::vector<std::vector<at::Tensor>>& lists);

/// What the fused kernels take for StepControl::do_update: float32 scalar, 1 where the update is
/// skipped; nothing when undefined.
[[nodiscard]] std::optional<at::Tensor> skip_flag(const StepControl& control);

/// What they take for StepControl::gradient_divisor: float32. Float64 gradients are divided here,
/// in a pass of their own, for float32 would spoil their digits; nothing is returned then.
[[nodiscard]] std::optional<at::Tensor> fused_divisor(const StepControl& control,
                                                      const std::vector<at::Tensor>& gradients);

/// A gradient in `type`, divided.
[[nodiscard]] at::Tensor divided(const at::Tensor& gradient, at::ScalarType type,
                                 const StepControl& control);

/// target = value, or stays as it is when control.do_update is 0.
void store(const at::Tensor& target, const at::Tensor& value, const StepControl& control);

}  // namespace diffprob::model
