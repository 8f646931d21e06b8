#pragma once

#include <unordered_map>
#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Copies of a network's convolution weights in the type of its steps, made in one pass at the
/// start of a step, where autocast would cast each weight on its own.
class SixteenBitWeights {
 public:
  /// Makes copies of all parameters of four dimensions, laid out as these are. The network's
  /// parameters must keep their storage from then on.
  void follow(const torch::nn::Module& network, at::ScalarType type);
  /// Takes the values that the parameters have now. Does nothing before follow().
  void refresh();
  /// Returns the copy of a weight; undefined where there is none.
  [[nodiscard]] at::Tensor of(const at::Tensor& weight) const;

 private:
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> copies_;
  std::unordered_map<const c10::TensorImpl*, std::size_t> index_;
};

}  // namespace diffprob::model
