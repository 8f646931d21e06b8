#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>

namespace diffprob::model {

/// Input faces [b, 3, 112, 112], or with 4 or 8 channels (zeros beyond the colours:
/// gpu::make_faces), checked, in the memory format that suits their device and type (reasons and
/// figures in the .cpp). channels_last_on_cpu: the network has own batch norm, and its 3x3
/// convolutions are depthwise or of few channels. Weights keep the row-major layout: gradients and
/// weight files then are plain arrays.
[[nodiscard]] at::Tensor prepare_faces(const at::Tensor& faces, bool channels_last_on_cpu);

/// The first convolution of a network. Where the faces have more channels than its weight, the
/// weight gets zeros for them: the same result and gradients, within rounding.
[[nodiscard]] at::Tensor stem_convolution(torch::nn::Conv2dImpl& convolution,
                                          const at::Tensor& faces);

}  // namespace diffprob::model
