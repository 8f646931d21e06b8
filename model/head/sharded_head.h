#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "model/head/head_pass.h"
#include "model/head/head_replicas.h"
#include "model/head/identity_centres.h"
#include "model/head/label_check.h"
#include "model/head/options.h"
#include "model/head/pending_scores.h"
#include "model/kernels/block_workers.h"
#include "model/margin/margin.h"
#include "model/softmax/head_update.h"

namespace diffprob::model {

class GatheredBatch;

/// Where the gradients of the class centres of a step go.
enum class CentreGradients {
  kWrite,       ///< into weight().grad()
  kAccumulate,  ///< are added to weight().grad()
  kDefer        ///< nowhere yet: ShardedHead::apply computes them, chunk by chunk
};

struct HeadStepOptions {
  std::uint64_t key = 0;    ///< of this step: class sampling and random margins
  at::Tensor device_key{};  ///< [1] int64 on the head's device, bits of the key of class sampling,
                            ///< for a step that is captured; undefined: key
  double weight = 1.0;      ///< of this batch in all gradients, 1 / micro-steps with gradient
                            ///< accumulation. Loss is reported without it.
  at::Tensor loss_scale{};  ///< scalar on the head's device or undefined: multiplies
                            ///< grad_embeddings, no other gradient
  CentreGradients centre_gradients = CentreGradients::kWrite;
  /// [b] float32, of this rank's rows: multiply their losses, in the reported loss as well.
  /// Undefined, on all ranks alike: 1.
  at::Tensor row_weights{};
};

/// What one training step yields. B = global batch, b = this rank's rows.
struct HeadStep {
  /// scalar float32, mean over B (weighted rows divided by B, too), the same on every rank; with
  /// several copies of the head the part of the own group: the parts of all groups add up to the
  /// mean.
  at::Tensor loss;
  at::Tensor grad_embeddings;  ///< [b, D] float32, d loss / d embeddings (un-normalised)
  at::Tensor probability;      ///< [b] float32, softmax probability of the label, with margin
  /// [b] bool, margin-free arg max (of the classes that take part) is the label.
  at::Tensor correct;
  /// [b] float32, margin-free log-probability of the label minus that of the best non-target class
  /// that takes part: scale * (difference of the cosines); no non-target class counts as a cosine
  /// of -1.
  at::Tensor label_margin;
};

/// Cosine softmax classifier with its classes split over ranks: rank r holds rows [C*r/W,
/// C*(r+1)/W). Loss, gradients and probabilities equal those of a replicated head (over the sampled
/// classes, when classes are sampled). Distributed softmax: all_gather of the normalised
/// embeddings, logits of local classes chunk by chunk, all_reduce of target cosines, of row maxima
/// and of sums (as integers), reduce_scatter of embedding gradients.
///
/// With several copies (HeadReplicas) all this happens inside a group of ranks, on the group's rows
/// of the batch; what a margin knows of the batch is that of the global batch, sampled classes are
/// the same in all groups, and the gradients of the centres are summed over the groups, while the
/// backbone's backward runs: copies that were equal stay equal, bit for bit.
///
/// A step with an optimiser of its own for the centres, which sampling and bfloat16 storage need
/// and which is fastest for all:
///   step = head.forward_backward(..., {.centre_gradients = kDefer}); head.begin_reduction();
///   backward of the backbone, checks; head.apply(head_sgd) or, to leave the step out,
///   head.drop_pending().
class ShardedHead {
 public:
  /// Collective. The communicator, of all ranks that share one copy of the classes, must outlive
  /// it; weights live on communicator.device().
  ShardedHead(HeadOptions options, dist::Communicator& communicator, HeadReplicas replicas = {});

  [[nodiscard]] const HeadOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::int64_t first_class() const noexcept { return first_class_; }
  [[nodiscard]] std::int64_t local_classes() const noexcept { return weight_.size(0); }
  /// [C_r, D] of options().storage, class centres, not normalised. Its gradient is weight().grad(),
  /// as CentreGradients says; undefined after an error.
  [[nodiscard]] at::Tensor& weight() noexcept { return weight_; }
  [[nodiscard]] Margin& margin() noexcept { return *margin_; }

  /// Collective. embeddings [b, D] (any float dtype, not normalised), labels [b] int64 global ids,
  /// `counts`: rows of every rank of the world (sum = B > 0). No autograd graph is kept. A label
  /// outside [0, C): c10::Error on every rank, naming rank, row and label. With CUDA the host does
  /// not wait for the device, so the error comes from the next call (this one, score or
  /// check_labels), and the loss is infinite. Extra memory: max_buffer_bytes (kept between steps)
  /// or one chunk of logits, O(chunk * D + B * D) and, unless deferred, weight().grad(). c10::Error
  /// when centre gradients are not deferred with sampled classes or bfloat16 storage.
  [[nodiscard]] HeadStep forward_backward(const at::Tensor& embeddings, const at::Tensor& labels,
                                          const std::vector<std::int64_t>& counts,
                                          const HeadStepOptions& step = {});

  /// With several copies of the head: starts the sum over them of the centre gradients of all steps
  /// since the last update, deferred or in weight().grad(). Collective. Call it after the last
  /// micro-step's forward_backward, before the backbone's backward, which hides it. Memory: one
  /// float32 row for each local class that takes part. Does nothing with one copy.
  void begin_reduction();
  /// Orders weight().grad() after that sum; apply() does so itself.
  void finish_reduction();

  /// Second half of the deferred steps since the last call: their centre gradients, summed, go to
  /// `update` in pieces. Not collective. More than one step at a time needs equal B, all classes
  /// and a margin that leaves non-target classes alone, else forward_backward throws.
  void apply(HeadUpdate& update);
  /// Forgets the deferred steps.
  void drop_pending();

  /// Throws now what forward_backward found on CUDA; waits for its label check, not for the step.
  /// Not collective; same on every rank.
  void check_labels() { label_check_.settle(); }
  /// forward_backward was recorded into a CUDA graph, which has been replayed on the current
  /// stream: check_labels has something to read.
  void replayed() { label_check_.submitted_by_replay(weight_.device()); }

  /// From now on weight() holds these centres, and score() takes as cosine to the target class
  /// that to the centre without the sample itself (IdentityCentres::leave_one_out); an identity
  /// without samples counts as a class at a cosine of -1. The samples scored must be those that the
  /// centres were made from. For a head that is not trained. Not collective. Throws c10::Error
  /// unless they are of as many classes and dimensions.
  void use_centres(std::shared_ptr<const IdentityCentres> centres);

  /// Collective. Scores for the same arguments (B may be 0), with the given margin for nll and
  /// probability and its scale for all. Errors as above, but always from this call. Extra memory
  /// O(B * D) + 32 Mi logits (on a CPU those of 64 rows, when that is more). Exchanges three times
  /// O(B) integers. first_row: number of the batch's first row in its data set. On a CPU the scores
  /// of a row depend on its embedding and on that number modulo a constant; they have the same bits
  /// for any number of ranks and threads and any batch.
  [[nodiscard]] HeadScores score(const at::Tensor& embeddings, const at::Tensor& labels,
                                 const std::vector<std::int64_t>& counts,
                                 const MarginOptions& margin, std::int64_t first_row = 0);
  /// The same without waiting for a GPU: the numbers are good once finish() has returned and
  /// check_labels(), or a later call, has not thrown. Another batch can be begun meanwhile.
  [[nodiscard]] PendingScores begin_score(const at::Tensor& embeddings, const at::Tensor& labels,
                                          const std::vector<std::int64_t>& counts,
                                          const MarginOptions& margin, std::int64_t first_row = 0);

 private:
  /// counts: rows of every rank of the group.
  [[nodiscard]] GatheredBatch gather(const at::Tensor& embeddings, const at::Tensor& labels,
                                     const std::vector<std::int64_t>& counts,
                                     at::ScalarType wire = at::kFloat,
                                     const at::Tensor& weights = {});
  void check_step(const HeadStepOptions& step, std::int64_t rows) const;
  /// labels of the group's rows; all_labels of the global batch.
  [[nodiscard]] StepClasses step_classes(const at::Tensor& labels, const at::Tensor& all_labels,
                                         const HeadStepOptions& step) const;
  [[nodiscard]] TargetLogits target_logits(const MarginBatch& own, const HeadReplicas::Share& share,
                                           const std::vector<std::int64_t>& counts);
  void settle_centres(HeadPass pass, CentreGradients where);
  [[nodiscard]] LogitBuffer logit_buffer(std::int64_t classes, std::int64_t rows);

  HeadOptions options_;
  dist::Communicator& communicator_;
  HeadReplicas replicas_;
  std::int64_t first_class_ = 0;
  at::Tensor weight_;
  std::unique_ptr<Margin> margin_;
  at::Tensor buffer_;                // float32, grows
  std::vector<HeadPass> pending_;    // deferred steps
  std::optional<HeadPass> reduced_;  // the last of the deferred steps in summed_
  at::Tensor summed_;                // [classes of reduced_, D], before projection
  std::unique_ptr<dist::Work> reduction_;
  LabelCheck label_check_;
  std::unique_ptr<BlockWorkers> workers_;  // for score() on a CPU
  std::shared_ptr<const IdentityCentres> centres_;
};

/// First class row of `rank`: C * rank / W.
[[nodiscard]] std::int64_t first_class_of_rank(std::int64_t num_classes, int rank, int world_size);

}  // namespace diffprob::model
