#pragma once

#include "model/networks/backbone.h"

namespace diffprob::model::gpu {

/// Of [b, F] features: float32, float16 or bfloat16 on a GPU, at most 65535 rows.
[[nodiscard]] bool has_dropout(const at::Tensor& features);
/// keyed_dropout by a kernel of its own; the backward pass draws the same numbers again instead of
/// keeping a mask.
[[nodiscard]] at::Tensor keyed_dropout(const at::Tensor& features, double p,
                                       const StepContext& context);

}  // namespace diffprob::model::gpu
