#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "dist/work.h"

namespace diffprob::model {

/// Normalised embeddings, their norms and labels of the global batch on every rank. B = global
/// rows, b = local rows. One message: a label travels as two more columns of its row, bit for bit,
/// the norm as another.
class GatheredBatch {
 public:
  /// Collective; starts the exchange. embeddings [b, D] of any float dtype, labels [b] int64,
  /// counts: rows a rank.
  GatheredBatch(const at::Tensor& embeddings, const at::Tensor& labels,
                const std::vector<std::int64_t>& counts, dist::Communicator& communicator);
  /// Before normalised(), norms(), labels(): orders them after the exchange.
  void wait();

  [[nodiscard]] std::int64_t rows() const noexcept { return message_.size(0); }
  [[nodiscard]] std::int64_t first_local_row() const noexcept { return first_local_row_; }
  [[nodiscard]] std::int64_t local_rows() const noexcept { return local_embeddings_.size(0); }
  [[nodiscard]] const at::Tensor& local_embeddings() const noexcept {
    return local_embeddings_;
  }  ///< [b, D] float32
  [[nodiscard]] const at::Tensor& local_inverse_norms() const noexcept {
    return local_inverse_norms_;
  }                                             ///< [b]
  [[nodiscard]] at::Tensor normalised() const;  ///< [B, D], a view
  [[nodiscard]] at::Tensor norms() const;       ///< [B] float32, of the embeddings
  [[nodiscard]] const at::Tensor& labels() const noexcept { return labels_; }  ///< [B]
  /// Returns the local rows of a tensor [B, ...].
  [[nodiscard]] at::Tensor local(const at::Tensor& whole) const {
    return whole.narrow(0, first_local_row_, local_rows());
  }

 private:
  at::Tensor local_embeddings_;
  at::Tensor local_inverse_norms_;
  at::Tensor message_;  // [B, D + kExtraColumns]
  at::Tensor labels_;
  std::int64_t first_local_row_ = 0;
  std::unique_ptr<dist::Work> exchange_;
};

}  // namespace diffprob::model
