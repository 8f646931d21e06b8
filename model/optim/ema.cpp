#include "model/optim/ema.h"

namespace diffprob::model {

Ema::Ema(const torch::nn::Module& module, double decay)
    : decay_(decay), values_(state_dict(module)) {
  TORCH_CHECK(decay >= 0 && decay < 1,
              "moving average of the weights: expected a decay in [0, 1), got ", decay);
  for (const auto& [name, value] : values_) shadows_.emplace_back(name, value.detach().clone());
}

void Ema::update() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> shadows, values, copied, originals;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const bool averaged = values_[i].second.is_floating_point();
    (averaged ? shadows : copied).push_back(shadows_[i].second);
    (averaged ? values : originals).push_back(values_[i].second);
  }
  if (!shadows.empty()) at::_foreach_lerp_(shadows, values, 1 - decay_);
  if (!copied.empty()) at::_foreach_copy_(copied, originals);
}

void Ema::restart() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < values_.size(); ++i) shadows_[i].second.copy_(values_[i].second);
}

void Ema::swap() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const at::Tensor kept = values_[i].second.clone();
    values_[i].second.copy_(shadows_[i].second);
    shadows_[i].second.copy_(kept);
  }
}

}  // namespace diffprob::model
