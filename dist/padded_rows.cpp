#include "dist/padded_rows.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

namespace diffprob::dist {
namespace {

at::Tensor zeros_like_rows(const at::Tensor& rows, std::int64_t count) {
  auto sizes = rows.sizes().vec();
  sizes[0] = count;
  return at::zeros(sizes, rows.options());
}

}  // namespace

PaddedRows::PaddedRows(std::vector<std::int64_t> counts, at::Device device)
    : counts_(std::move(counts)), block_(*std::max_element(counts_.begin(), counts_.end())) {
  std::vector<std::int64_t> places;
  std::int64_t first = 0;  // of this rank's block
  for (const auto count : counts_) {
    for (std::int64_t row = 0; row < count; ++row) places.push_back(first + row);
    first += block_;
  }
  places_ = at::tensor(places, at::kLong).to(device);
}

at::Tensor PaddedRows::pad_own(const at::Tensor& rows) const {
  if (rows.size(0) == block_) return rows;
  const at::NoGradGuard no_grad;
  const at::Tensor padded = zeros_like_rows(rows, block_);
  padded.narrow(0, 0, rows.size(0)).copy_(rows);
  return padded;
}

at::Tensor PaddedRows::pad_all(const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  return zeros_like_rows(rows, block_ * static_cast<std::int64_t>(counts_.size()))
      .index_copy_(0, places_, rows);
}

void PaddedRows::unpad_all(const at::Tensor& rows, const at::Tensor& padded) const {
  const at::NoGradGuard no_grad;
  at::Tensor output = rows;
  at::index_select_out(output, padded, 0, places_);
}

}  // namespace diffprob::dist
