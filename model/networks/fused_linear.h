#pragma once

#include <torch/nn/modules/linear.h>

namespace diffprob::model {

/// x [b, in] -> [b, out], as nn::Linear. The gradient of the weight is made in the weight's own
/// layout: LibTorch's comes transposed, and accumulating it copies the largest matrix of a network
/// once more across its rows.
[[nodiscard]] at::Tensor linear(torch::nn::LinearImpl& layer, const at::Tensor& x);

}  // namespace diffprob::model
