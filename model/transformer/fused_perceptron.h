#pragma once

#include <torch/nn/modules/linear.h>

namespace diffprob::model {

/// fc2(relu6(fc1(x))), x [rows, in] -> [rows, out]. Only what leaves ReLU6 is kept for the backward
/// pass: it tells where the slope is 0 as well as what entered. In one type without autocast the
/// hidden numbers are overwritten in place, else LibTorch's operators run.
[[nodiscard]] at::Tensor perceptron(torch::nn::LinearImpl& fc1, torch::nn::LinearImpl& fc2,
                                    const at::Tensor& x);

}  // namespace diffprob::model
