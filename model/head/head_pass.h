#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/margin/margin.h"
#include "model/softmax/step_classes.h"

namespace diffprob::model {

/// Memory for logits: `slots` chunks of `chunk_classes` classes. With as many slots as chunks,
/// nothing is computed twice.
struct LogitBuffer {
  at::Tensor values;  ///< [slots * chunk_classes * B] float32
  std::int64_t chunk_classes;
  std::int64_t slots;
};

/// Softmax over the non-target classes of this rank, before the exchange.
struct ShardSoftmax {
  NonTargetMaxima maxima;
  at::Tensor reference;  ///< [B] float32: largest effective cosine, at least -1
  at::Tensor sums;       ///< [B] float64: sum of e = exp(scale * (effective cosine - reference))
  at::Tensor weighted_centres;  ///< [B, D] float32: sum of e * slope * centre / |centre|
};

/// What the second pass needs to know of the whole softmax, [B] float32 each. d loss / d cosine of
/// another class is exp(scale * (effective cosine - reference)) * slope * factor.
struct RowGradientTerms {
  at::Tensor reference;
  at::Tensor factor;
  at::Tensor target;  ///< d loss / d (product of the target centre and the embedding)
};

/// One batch and this rank's classes: two passes over chunks of classes, with no tensor over all of
/// them. The first yields the softmax and, rescaled as the maximum grows, the sums for the
/// embedding gradients; the second yields gradients of the centres. The second may run much later:
/// the backbone's backward does not wait for it.
class HeadPass {
 public:
  /// x [B, D] float32: normalised embeddings. The margin must be past target() of this batch until
  /// the last call.
  HeadPass(StepClasses classes, at::Tensor x, const Margin& margin, LogitBuffer buffer);

  [[nodiscard]] std::int64_t chunks() const noexcept {
    return (classes_.count() + buffer_.chunk_classes - 1) / buffer_.chunk_classes;
  }
  [[nodiscard]] std::int64_t chunk_begin(std::int64_t chunk) const noexcept {
    return chunk * buffer_.chunk_classes;
  }
  [[nodiscard]] std::int64_t chunk_size(std::int64_t chunk) const noexcept;
  [[nodiscard]] std::int64_t rows() const noexcept { return x_.size(0); }  ///< B
  [[nodiscard]] const StepClasses& classes() const noexcept { return classes_; }

  [[nodiscard]] ShardSoftmax first_pass();
  /// Must be called between the passes.
  void set_terms(RowGradientTerms terms) { terms_ = std::move(terms); }
  /// Memory for the gradient of one chunk, [chunk_classes, D].
  [[nodiscard]] at::Tensor gradient_scratch() const;
  /// Must be called before another batch uses the buffer: the second pass then computes all
  /// products again.
  void forget_logits() noexcept { references_.clear(); }

  /// Second pass, chunks in descending order: writes or adds d loss / d centre, before project(),
  /// of one chunk. gradient [c, D].
  void centre_gradient(std::int64_t chunk, const at::Tensor& centres, const at::Tensor& gradient,
                       bool add);
  void project(std::int64_t chunk, const at::Tensor& centres, const at::Tensor& gradient) const;
  /// [c] float32, 1 / |centre| of the classes of a chunk.
  [[nodiscard]] at::Tensor inverse_norms(std::int64_t chunk) const {
    return inverse_norms_.narrow(0, chunk_begin(chunk), chunk_size(chunk));
  }

 private:
  [[nodiscard]] Chunk slot(std::int64_t chunk) const;
  [[nodiscard]] bool is_kept(std::int64_t chunk) const noexcept {
    return !references_.empty() &&
           chunk + buffer_.slots >= static_cast<std::int64_t>(references_.size());
  }
  /// Turns the cosines of a slot into effective cosines, in place. Returns their slopes [c, B],
  /// undefined when the margin leaves
  /// non-target classes alone.
  [[nodiscard]] at::Tensor make_effective(const Chunk& chunk) const;
  void recompute_gradients(const Chunk& chunk, const at::Tensor& centres) const;

  StepClasses classes_;
  at::Tensor x_;
  const Margin& margin_;
  LogitBuffer buffer_;
  at::Tensor inverse_norms_;            // [n]
  std::vector<at::Tensor> references_;  // per chunk: the reference of the exponentials in its slot
  RowGradientTerms terms_;
};

}  // namespace diffprob::model
