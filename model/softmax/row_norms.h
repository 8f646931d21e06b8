#pragma once

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// L2 norms of rows [n, D] -> [n]. float32 on a CPU: the bits of a norm depend on its row alone.
[[nodiscard]] at::Tensor row_norms(const at::Tensor& rows);
/// 1 / L2 norm of rows [n, D] -> [n]. 0 for rows shorter than 1e-12: they have no direction, their
/// cosines and gradients are 0.
[[nodiscard]] at::Tensor inverse_row_norms(const at::Tensor& rows);
/// The same from the norms themselves.
[[nodiscard]] at::Tensor inverse_of_norms(const at::Tensor& norms);

/// In place: d loss / d (row / |row|) -> d loss / d row. gradient and rows [n, D], inverse_norms
/// [n]. Extra memory is bounded.
void normalise_rows_backward(at::Tensor gradient, const at::Tensor& rows,
                             const at::Tensor& inverse_norms);

}  // namespace diffprob::model
