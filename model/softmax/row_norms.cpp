#include "model/softmax/row_norms.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "model/softmax/score_kernels.h"

namespace diffprob::model {
namespace {

constexpr double kShortestRow = 1e-12;
constexpr std::int64_t kChunkElements = 4 << 20;

}  // namespace

at::Tensor row_norms(const at::Tensor& rows) {
  if (!rows.device().is_cpu() || rows.scalar_type() != at::kFloat)
    return at::linalg_vector_norm(rows, 2, at::IntArrayRef{1});
  const at::Tensor whole = rows.stride(1) == 1 ? rows : rows.contiguous();
  const at::Tensor norms = at::empty({rows.size(0)}, rows.options());
  const std::int64_t stride = whole.stride(0), dim = rows.size(1);
  at::parallel_for(0, rows.size(0), kChunkElements / 64 / std::max<std::int64_t>(1, dim) + 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     host::row_norms(whole.const_data_ptr<float>() + begin * stride, stride,
                                     end - begin, dim, norms.mutable_data_ptr<float>() + begin);
                   });
  return norms;
}

at::Tensor inverse_row_norms(const at::Tensor& rows) {
  return inverse_of_norms(row_norms(rows));
}

at::Tensor inverse_of_norms(const at::Tensor& norms) {
  return norms.reciprocal().masked_fill_(norms <= kShortestRow, 0.0);
}

void normalise_rows_backward(at::Tensor gradient, const at::Tensor& rows,
                             const at::Tensor& inverse_norms) {
  const std::int64_t chunk =
      std::max<std::int64_t>(1, kChunkElements / std::max<std::int64_t>(1, rows.size(1)));
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
