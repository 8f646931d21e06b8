#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "dist/work.h"

namespace diffprob::model {

/// Normalised embeddings, their norms, labels and weights of the global batch on every rank. B =
/// global rows, b = local rows. One message: label, norm and weight travel in more columns of their
/// row, bit for bit.
class GatheredBatch {
 public:
  /// Collective; starts the exchange. embeddings [b, D] of any float dtype, labels [b] int64,
  /// counts: rows a rank. weights: [b] float32 of the losses, on all ranks or undefined on all;
  /// they take no further bytes. wire: float32, bfloat16 or float16, in which the normalised
  /// embeddings travel; all ranks, the own one too, go on with what arrives.
  GatheredBatch(const at::Tensor& embeddings, const at::Tensor& labels,
                const std::vector<std::int64_t>& counts, dist::Communicator& communicator,
                at::ScalarType wire = at::kFloat, const at::Tensor& weights = {});
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
  }  ///< [b]
  /// [B, D] float32; a view when they travelled as such.
  [[nodiscard]] const at::Tensor& normalised() const noexcept { return normalised_; }
  [[nodiscard]] const at::Tensor& norms() const noexcept { return norms_; }    ///< [B] float32
  [[nodiscard]] const at::Tensor& labels() const noexcept { return labels_; }  ///< [B]
  /// [B] float32; undefined when there were none.
  [[nodiscard]] const at::Tensor& weights() const noexcept { return weights_; }
  /// Returns the local rows of a tensor [B, ...].
  [[nodiscard]] at::Tensor local(const at::Tensor& whole) const {
    return whole.narrow(0, first_local_row_, local_rows());
  }

 private:
  at::Tensor local_embeddings_;
  at::Tensor local_inverse_norms_;
  at::Tensor message_;  // [B, D + columns for label, norm and weight]
  at::Tensor normalised_;
  at::Tensor norms_;
  at::Tensor labels_;
  at::Tensor weights_;
  bool weighted_;
  std::int64_t first_local_row_ = 0;
  std::unique_ptr<dist::Work> exchange_;
};

}  // namespace diffprob::model
