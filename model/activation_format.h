#pragma once

#include <torch/torch.h>

namespace diffprob::model {

/// Input faces [b, 3, 112, 112], checked, in the memory format that suits their device (reasons and figures in the .cpp).
/// Weights keep the row-major layout: gradients and weight files then are plain arrays.
[[nodiscard]] at::Tensor prepare_faces(const at::Tensor& faces);

}  // namespace diffprob::model
