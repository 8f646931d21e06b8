#pragma once

#include <utility>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include "model/batch_norm/context.h"

namespace diffprob::model {

/// Which layer takes the output of a batch norm.
enum class OutputGoesTo { kOtherLayer, kBatchNorm };

/// y = BN(x), or PReLU(BN(x)), or BN(x) + residual, each in one pass over x [N, C, ...]; in
/// training mode running statistics are updated as LibTorch does. Only x is saved for the backward
/// pass. Collective in training mode when context.sync is set, also in the backward pass.
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                    BatchNormContext& context);
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm1dImpl& bn, const at::Tensor& x,
                                    BatchNormContext& context);
[[nodiscard]] at::Tensor batch_norm_prelu(torch::nn::BatchNorm2dImpl& bn,
                                          torch::nn::PReLUImpl& prelu, const at::Tensor& x,
                                          BatchNormContext& context,
                                          OutputGoesTo next = OutputGoesTo::kOtherLayer);
[[nodiscard]] at::Tensor batch_norm_add(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                        const at::Tensor& residual, BatchNormContext& context,
                                        OutputGoesTo next = OutputGoesTo::kOtherLayer);

/// Returns {BN(x), x}. The gradient that comes back through the second output is added in the pass
/// that computes the gradient of x.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> batch_norm_fork(torch::nn::BatchNorm2dImpl& bn,
                                                                const at::Tensor& x,
                                                                BatchNormContext& context);

}  // namespace diffprob::model
