#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "model/margin/options.h"

namespace diffprob::model {

/// Logits of the target class after the margin, and d(target logit) / d(cosine), both [B] in the
/// dtype of the cosines given.
struct TargetLogits {
  at::Tensor logits;
  at::Tensor slope;
};

/// Stateless margin for scoring, on cosines [b] in [-1, 1]: what does not depend on a training
/// step. The elastic kinds use their mean margin, AdaFace that of a sample of mean norm (z = 0, so
/// CosFace), CurricularFace its target-class rule.
[[nodiscard]] TargetLogits apply_margin(const at::Tensor& target_cosine,
                                        const MarginOptions& options);

/// The global batch as a margin sees it, in the same order and with the same values on every rank.
/// B = rows of the global batch.
struct MarginBatch {
  at::Tensor target_cosine;  ///< [B] float64 in [-1, 1], to the target class
  at::Tensor norms;          ///< [B] float32, L2 norms of the embeddings
  /// Key of this step: random margins are a function of (key, row of the global batch).
  std::uint64_t key = 0;
  /// Rows of the batch whose logits are wanted: first_row to first_row + own_rows; -1: all.
  std::int64_t first_row = 0;
  std::int64_t own_rows = -1;

  /// The wanted rows of a tensor [B, ...].
  [[nodiscard]] at::Tensor own(const at::Tensor& whole) const {
    return own_rows < 0 ? whole : whole.narrow(0, first_row, own_rows);
  }
};

/// The margin of one head, with its state. No call synchronises the host with the device; none
/// records an autograd graph. State is a function of the global batches seen, so it is the same on
/// every rank and for every number of ranks.
class Margin {
 public:
  virtual ~Margin() = default;
  Margin(const Margin&) = delete;
  Margin& operator=(const Margin&) = delete;

  [[nodiscard]] const MarginOptions& options() const noexcept { return options_; }

  /// Returns true if the logits of a row depend on other rows of the batch, or on its number: then
  /// target() needs the whole global batch, else the wanted rows alone do.
  [[nodiscard]] virtual bool needs_whole_batch() const { return false; }

  /// [b], of the wanted rows. Once a training step, before non_targets(). Updates the state first,
  /// as the papers' code does; a batch with statistics that are not finite leaves the state as it
  /// was. Slopes are finite at cosines of exactly +-1 too (see model/margin/angle.h).
  [[nodiscard]] TargetLogits target(const MarginBatch& batch);

  /// Returns true if non_targets() does anything.
  [[nodiscard]] bool changes_non_targets() const;

  /// In place: cosines [B, c] to non-target classes (any chunk of classes, float32 or float64)
  /// become effective cosines, logit / scale. Elements that are -inf (target class) stay so. Valid
  /// after target() of the same step, for its wanted rows.
  void non_targets(at::Tensor cosines) const;

  /// d effective / d cosine, [B, c], at the cosines given, which are those before non_targets().
  /// Finite at elements that are -inf.
  [[nodiscard]] at::Tensor non_target_slope(const at::Tensor& cosines) const;

  /// Live scalar float64 tensors by name, for checkpoints (copy_ into them to restore); empty for
  /// stateless kinds.
  [[nodiscard]] virtual std::vector<std::pair<std::string, at::Tensor>> state() { return {}; }

 protected:
  explicit Margin(const MarginOptions& options) : options_(options) {}

 private:
  virtual TargetLogits do_target(const MarginBatch& batch) = 0;
  [[nodiscard]] virtual bool kind_changes_non_targets() const { return false; }
  /// Called only where kind_changes_non_targets().
  virtual void do_non_targets(at::Tensor& cosines) const;
  [[nodiscard]] virtual at::Tensor do_non_target_slope(const at::Tensor& cosines) const;

  MarginOptions options_;
};

/// State lives on `device`. Throws c10::Error naming the option that is out of range.
[[nodiscard]] std::unique_ptr<Margin> make_margin(const MarginOptions& options, at::Device device);

}  // namespace diffprob::model
