#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include <torch/nn/modules/container/sequential.h>

namespace diffprob::tests {

/// An IR network as face.evoLVe and its descendants name their layers, for tests.
struct IrOptions {
  std::array<std::int64_t, 4> blocks = {2, 2, 2, 2};
  bool norm_after_first = true;  ///< false: face.evoLVe
  bool squeeze_excitation = false;
  bool last_norm_is_affine = false;
};

class IrNetwork : public torch::nn::Module {
 public:
  explicit IrNetwork(const IrOptions& options);
  torch::Tensor forward(const torch::Tensor& faces);

 private:
  torch::nn::Sequential input_layer_, body_, output_layer_;
};

/// With all parameters and statistics drawn at random, in evaluation mode.
[[nodiscard]] std::shared_ptr<IrNetwork> random_ir_network(const IrOptions& options,
                                                           std::uint64_t seed);

}  // namespace diffprob::tests
