#include "model/row_norms.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace diffprob::model {
namespace {

constexpr double kShortestRow = 1e-12;
constexpr std::int64_t kChunkElements = 4 << 20;

}  // namespace

at::Tensor inverse_row_norms(const at::Tensor& rows) {
  return inverse_of_norms(at::linalg_vector_norm(rows, 2, at::IntArrayRef{1}));
}

at::Tensor inverse_of_norms(const at::Tensor& norms) {
  return norms.reciprocal().masked_fill_(norms <= kShortestRow, 0.0);
}

void normalise_rows_backward(at::Tensor gradient, const at::Tensor& rows, const at::Tensor& inverse_norms) {
  const std::int64_t chunk = std::max<std::int64_t>(1, kChunkElements / std::max<std::int64_t>(1, rows.size(1)));
  for (std::int64_t begin = 0; begin < rows.size(0); begin += chunk) {
    const std::int64_t count = std::min(chunk, rows.size(0) - begin);
    const at::Tensor row = rows.narrow(0, begin, count);
    const at::Tensor inverse = inverse_norms.narrow(0, begin, count).unsqueeze(1);
    at::Tensor part = gradient.narrow(0, begin, count);
    const at::Tensor along = at::mul(part, row).sum(1, true).mul_(inverse).mul_(inverse);  // [n, 1]
    part.addcmul_(row, along, -1).mul_(inverse);
  }
}

}  // namespace diffprob::model
