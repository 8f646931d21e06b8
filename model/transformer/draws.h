#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/networks/backbone.h"
#include "model/transformer/block.h"

namespace diffprob::model {

/// Returns the places of the patches that stay when `masked` of the `patches` of each image are
/// left out: [rows, patches - masked] int64 on the CPU, ascending in each row. Which patches of row
/// r stay is a pure function of (context.key, context.first_row + r): the same for any split of the
/// batch over ranks or calls.
[[nodiscard]] at::Tensor draw_kept_patches(std::int64_t rows, std::int64_t patches,
                                           std::int64_t masked, const StepContext& context);

/// Returns the factors of residual branches under stochastic depth: [depth, 2, rows] float32 on the
/// CPU, 0 where a branch is dropped and 1 / (1 - p) elsewhere, where p = rate * block / (depth - 1)
/// grows from 0 in the first block to `rate`, in [0, 1), in the last one. Each block has two
/// branches. A factor is a pure function of (context.key, context.first_row + row, block, branch).
[[nodiscard]] at::Tensor draw_branch_factors(std::int64_t rows, std::int64_t depth, double rate,
                                             const StepContext& context);

/// Returns who takes part in each block by these factors. A branch that all images drop is computed
/// for the first of them, with factor 0, so that every parameter gets a gradient on every rank.
[[nodiscard]] std::vector<BlockImages> images_taking_part(const at::Tensor& factors,
                                                          at::Device device);

}  // namespace diffprob::model
