#pragma once

#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include "model/margin/margin.h"

namespace diffprob::model {

/// One row a sample, all [b] on the host. nll and probability use the margin asked for; all else is
/// margin-free.
struct HeadScores {
  at::Tensor nll;              ///< float32, -log p of the label, computed without going through p
  at::Tensor probability;      ///< float32
  at::Tensor top1;             ///< int64, arg max class (lowest id among equals)
  at::Tensor top1_log_prob;    ///< float32
  at::Tensor second_log_prob;  ///< float32, of the second largest logit (-inf when C is 1)
  at::Tensor sum_p2;           ///< float32, sum over classes of p^2
  at::Tensor entropy;          ///< float32, nats
  at::Tensor cosine;           ///< float32, to the centre of the target class
  at::Tensor norm;             ///< float32, L2 norm of the embedding
};

/// What the ranks have found out about a row, as it travels: int64.
enum ScoreColumn : std::int64_t {
  kFirstColumn,
  kTargetColumn,
  kSecondColumn,
  kSumColumns,
  kScoreColumns = kSumColumns + 3
};

/// Scores of this rank's rows of a batch whose numbers may still be on their way from a GPU, in one
/// copy to pinned memory.
class PendingScores {
 public:
  /// statistics [kScoreColumns, b] int64, labels [b] int64, norms [b] float32, all on one device.
  /// bits: fraction bits of the sums.
  PendingScores(const at::Tensor& statistics, const at::Tensor& labels, const at::Tensor& norms,
                int bits, const MarginOptions& margin);

  /// Waits for the copy. Any number of times.
  [[nodiscard]] HeadScores finish() const;

 private:
  at::Tensor host_;  // [kScoreColumns + 2, b] int64; the last two: labels, norms as bits of float64
  std::optional<c10::Event> copied_;
  int bits_;
  MarginOptions margin_;
};

}  // namespace diffprob::model
