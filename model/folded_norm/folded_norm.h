#pragma once

#include <utility>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include "model/batch_norm/context.h"

namespace diffprob::model {

/// Returns true if folded_norm_convolution() can take the place of batch_norm_fork() and
/// convolution(): in training, with our kernels for x, and a 3x3 convolution of stride 1, padding 1
/// and no bias.
[[nodiscard]] bool can_fold(const torch::nn::BatchNorm2dImpl& bn,
                            const torch::nn::Conv2dImpl& convolution, const at::Tensor& x,
                            const BatchNormContext& context);

/// Returns {conv(BN(x)), x} for x [N, C, H, W], as ops.h of this room says, where a batch norm of
/// the same context in training mode must take the first next. copy: the weight in the type of x.
/// Collective when context.sync is set, also in the backward pass.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> folded_norm_convolution(
    torch::nn::BatchNorm2dImpl& bn, torch::nn::Conv2dImpl& convolution, const at::Tensor& copy,
    const at::Tensor& x, BatchNormContext& context);

}  // namespace diffprob::model
