#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>

#include "model/networks/convolution.h"

namespace diffprob::model {

/// Input faces [b, 3, 112, 112], or with 4 or 8 channels (zeros beyond the colours:
/// gpu::make_faces), checked, in the memory format that suits their device and type (reasons and
/// figures in the .cpp). channels_last_on_cpu: the network has own batch norm, and its 3x3
/// convolutions are depthwise or of few channels.
[[nodiscard]] at::Tensor prepare_faces(const at::Tensor& faces, bool channels_last_on_cpu);

/// Lays out weights as the convolutions of this device want them, channels-last on a GPU: there a
/// convolution would else turn its weight round in the forward and in the backward pass, and its
/// gradient back. To be called before anything keeps strides of parameters.
void lay_out_weights(torch::nn::Module& network);

/// The first convolution of a network. Where the faces have more channels than its weight, the
/// weight gets zeros for them: the same result and gradients, within rounding.
[[nodiscard]] at::Tensor stem_convolution(torch::nn::Conv2dImpl& layer, const at::Tensor& faces,
                                          const ConvolutionContext& context);

}  // namespace diffprob::model
