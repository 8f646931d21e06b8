#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::dist {

/// Blocks of rows, one a rank, whose lengths differ, laid out as equal blocks of the longest
/// length: NCCL gathers and scatters only equal blocks in one operation, and a broadcast or
/// reduction a rank instead costs hundreds of them at hundreds of ranks.
class PaddedRows {
 public:
  /// counts[r] rows of rank r, at least one of them not 0; `device`: of the tensors.
  PaddedRows(std::vector<std::int64_t> counts, at::Device device);

  /// On the device; what is queued there may still read it when this object goes.
  [[nodiscard]] const at::Tensor& places() const noexcept { return places_; }
  /// Rows of a block.
  [[nodiscard]] std::int64_t block() const noexcept { return block_; }
  /// [rows, ...] of one rank -> [block, ...], zeros behind.
  [[nodiscard]] at::Tensor pad_own(const at::Tensor& rows) const;
  /// [sum of counts, ...] -> [ranks * block, ...], zeros between.
  [[nodiscard]] at::Tensor pad_all(const at::Tensor& rows) const;
  /// The reverse of pad_all, into `rows`.
  void unpad_all(const at::Tensor& rows, const at::Tensor& padded) const;

 private:
  std::vector<std::int64_t> counts_;
  std::int64_t block_;
  at::Tensor places_;  // int64 [sum of counts]: where a row stands in the equal blocks
};

}  // namespace diffprob::dist
