#pragma once

#include <torch/nn/module.h>

namespace diffprob::model {

/// Input faces [b, 3, 112, 112], checked, in the memory format that suits their device and type (reasons and figures in the .cpp).
/// channels_last_on_cpu: the network has own batch norm, and its 3x3 convolutions are depthwise or of few channels.
/// Weights keep the row-major layout: gradients and weight files then are plain arrays.
[[nodiscard]] at::Tensor prepare_faces(const at::Tensor& faces, bool channels_last_on_cpu);

}  // namespace diffprob::model
