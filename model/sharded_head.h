#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "model/label_check.h"
#include "model/margin.h"

namespace diffprob::model {

class GatheredBatch;

struct HeadOptions {
  std::int64_t num_classes = 0;      ///< C
  std::int64_t embedding_dim = 512;  ///< D
  MarginOptions margin;
  std::uint64_t seed = 1;  ///< of the initial centres, keyed by class id: N(0, 0.01), as the reference
};

/// What one training step yields. B = global batch, b = this rank's rows.
struct HeadStep {
  at::Tensor loss;             ///< scalar float32, mean over B, the same on every rank
  at::Tensor grad_embeddings;  ///< [b, D] float32, d loss / d embeddings (un-normalised)
  at::Tensor probability;      ///< [b] float32, softmax probability of the own label, with margin
  at::Tensor correct;          ///< [b] bool, margin-free arg max is the label
};

/// One row a sample, all [b]. nll and probability use the margin asked for; all else is margin-free.
struct HeadScores {
  at::Tensor nll;              ///< float32, -log p of the own label, computed without going through p
  at::Tensor probability;      ///< float32
  at::Tensor top1;             ///< int64, arg max class (lowest id among equals)
  at::Tensor top1_log_prob;    ///< float32
  at::Tensor second_log_prob;  ///< float32, of the second largest logit (-inf when C is 1)
  at::Tensor sum_p2;           ///< float32, sum over classes of p^2
  at::Tensor entropy;          ///< float32, nats
  at::Tensor cosine;           ///< float32, to the own class centre
  at::Tensor norm;             ///< float32, L2 norm of the embedding
};

/// Cosine softmax classifier with its classes split over ranks: rank r holds rows [C*r/W, C*(r+1)/W). Loss, gradients and
/// probabilities equal those of a replicated head. Distributed softmax: all_gather of the normalised embeddings, logits of own classes,
/// all_reduce of row maxima and sums, reduce_scatter of embedding gradients.
class ShardedHead {
 public:
  /// Collective. The communicator must outlive it; weights live on communicator.device().
  ShardedHead(HeadOptions options, dist::Communicator& communicator);

  [[nodiscard]] const HeadOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::int64_t first_class() const noexcept { return first_class_; }
  [[nodiscard]] std::int64_t local_classes() const noexcept { return weight_.size(0); }
  /// [C_r, D] float32, class centres, not normalised. Its gradient is weight().grad(), written (not accumulated) by forward_backward;
  /// undefined after an error.
  [[nodiscard]] at::Tensor& weight() noexcept { return weight_; }

  /// Collective. embeddings [b, D] (any float dtype, not normalised), labels [b] int64 global ids, `counts`: rows of every rank
  /// (sum = B > 0). No autograd graph is kept. A label outside [0, C): c10::Error on every rank, naming rank, row and label. With CUDA the
  /// host does not wait for the device, so the error comes from the next call (this one, score or check_labels), and the loss is infinite.
  [[nodiscard]] HeadStep forward_backward(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts);

  /// Throws now what forward_backward found on CUDA; waits for its label check, not for the step. Not collective; same on every rank.
  void check_labels() { label_check_.settle(); }

  /// Collective. Scores for the same arguments (B may be 0), with the given margin for nll and probability and its scale for all.
  /// Errors as above, but always from this call. Extra memory O(B * W + 32 Mi logits).
  [[nodiscard]] HeadScores score(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts,
                                 const MarginOptions& margin);

 private:
  [[nodiscard]] GatheredBatch gather(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts);

  HeadOptions options_;
  dist::Communicator& communicator_;
  std::int64_t first_class_ = 0;
  at::Tensor weight_;
  LabelCheck label_check_;
};

/// First class row of `rank`: C * rank / W.
[[nodiscard]] std::int64_t first_class_of_rank(std::int64_t num_classes, int rank, int world_size);

}  // namespace diffprob::model
