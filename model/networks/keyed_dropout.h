#pragma once

#include <ATen/core/Tensor.h>

#include "model/networks/backbone.h"

namespace diffprob::model {

/// Drops elements of [b, F] features with probability p in [0, 1) and scales the others by 1 / (1 -
/// p). Whether element f of row r stays is a pure function of (context.key, context.first_row + r,
/// f): the same for any split of the batch over ranks or calls, and on any device.
[[nodiscard]] at::Tensor keyed_dropout(const at::Tensor& features, double p,
                                       const StepContext& context);

}  // namespace diffprob::model
