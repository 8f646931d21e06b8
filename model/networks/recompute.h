#pragma once

#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

#include "model/batch_norm/batch_norm.h"

namespace diffprob::model {

/// block(x), keeping x alone (and the batch statistics): the backward pass runs the block again for
/// what it needs. Batch norms of the block must go by `context`: their running statistics are
/// updated once. `block` is a pure function of x, the parameters and what it captures, is called
/// from the thread of the backward pass, and what it captures lives until then. Parameter gradients
/// are accumulated as usual. Without gradient mode: block(x).
[[nodiscard]] at::Tensor recomputed(std::function<at::Tensor(const at::Tensor&)> block,
                                    const at::Tensor& x,
                                    const std::shared_ptr<BatchNormContext>& context);

}  // namespace diffprob::model
