#include "model/networks/sixteen_bit_weights.h"

#include <ATen/ATen.h>

namespace diffprob::model {

void SixteenBitWeights::follow(const torch::nn::Module& network, at::ScalarType type) {
  for (const auto& parameter : network.parameters()) {
    if (parameter.dim() != 4) continue;
    index_[parameter.unsafeGetTensorImpl()] = weights_.size();
    weights_.push_back(parameter.detach());
    copies_.push_back(at::empty_like(weights_.back(), weights_.back().options().dtype(type)));
  }
}

void SixteenBitWeights::refresh() {
  const at::NoGradGuard no_grad;
  if (!weights_.empty()) at::_foreach_copy_(copies_, weights_);
}

at::Tensor SixteenBitWeights::of(const at::Tensor& weight) const {
  const auto found = index_.find(weight.unsafeGetTensorImpl());
  return found == index_.end() ? at::Tensor() : copies_[found->second];
}

}  // namespace diffprob::model
