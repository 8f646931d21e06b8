#include "model/networks/recompute.h"

#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Type of autocast on a device, to be had again in the thread of the backward pass.
class AutocastState {
 public:
  explicit AutocastState(at::DeviceType device)
      : device_(device),
        enabled_(at::autocast::is_autocast_enabled(device)),
        dtype_(at::autocast::get_autocast_dtype(device)) {}
  void set() const {
    at::autocast::set_autocast_enabled(device_, enabled_);
    at::autocast::set_autocast_dtype(device_, dtype_);
  }

 private:
  at::DeviceType device_;
  bool enabled_;
  at::ScalarType dtype_;
};

class AutocastGuard {
 public:
  AutocastGuard(const AutocastState& wanted, at::DeviceType device) : before_(device) {
    wanted.set();
  }
  ~AutocastGuard() { before_.set(); }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  AutocastState before_;
};

/// The context's batch norms keep their statistics on `tape`, or take them from it, while this
/// lives.
class TapeGuard {
 public:
  TapeGuard(BatchNormContext& context, StatisticsTape& tape, bool repeating) : context_(context) {
    tape.rewind();
    context_.tape = &tape;
    context_.repeating = repeating;
  }
  ~TapeGuard() {
    context_.tape = nullptr;
    context_.repeating = false;
  }
  TapeGuard(const TapeGuard&) = delete;
  TapeGuard& operator=(const TapeGuard&) = delete;

 private:
  BatchNormContext& context_;
};

struct Repetition : torch::CustomClassHolder {
  Repetition(std::function<at::Tensor(const at::Tensor&)> the_block,
             std::shared_ptr<BatchNormContext> the_context, at::DeviceType device)
      : block(std::move(the_block)), context(std::move(the_context)), autocast(device) {}

  at::Tensor run(const at::Tensor& x, bool repeating) {
    const TapeGuard guard(*context, tape, repeating);
    return block(x);
  }

  std::function<at::Tensor(const at::Tensor&)> block;
  std::shared_ptr<BatchNormContext> context;
  StatisticsTape tape;
  AutocastState autocast;
};

struct RecomputeFunction : torch::autograd::Function<RecomputeFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const c10::intrusive_ptr<Repetition>& repetition) {
    ctx->save_for_backward({x});
    ctx->saved_data["repetition"] = c10::IValue::make_capsule(repetition);
    return repetition->run(x, /*repeating=*/false);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto capsule = ctx->saved_data["repetition"].toCapsule();
    auto& repetition = static_cast<Repetition&>(*capsule);
    const at::Tensor saved = ctx->get_saved_variables()[0];
    const AutocastGuard autocast(repetition.autocast, saved.device().type());
    const at::AutoGradMode grad_mode(true);
    const at::Tensor x = saved.detach().requires_grad_(true);
    const at::Tensor y = repetition.run(x, /*repeating=*/true);
    torch::autograd::backward({y}, {grads[0]});
    return {x.grad(), {}};
  }
};

}  // namespace

at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block, const at::Tensor& x,
                      const std::shared_ptr<BatchNormContext>& context) {
  if (!at::GradMode::is_enabled() || !x.requires_grad()) return block(x);
  return RecomputeFunction::apply(
      x, c10::make_intrusive<Repetition>(std::move(block), context, x.device().type()));
}

}  // namespace diffprob::model
