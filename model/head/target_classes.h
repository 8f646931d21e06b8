#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/softmax/step_classes.h"

namespace diffprob::model {

/// The target classes of a global batch, as far as this rank has them: of B rows about B / W. On a
/// CPU only those rows are worked on; on a GPU their number is known to the device alone, so a
/// kernel passes over the others (`target_kernel`), or LibTorch's operators do all B rows. Nothing
/// here waits for a GPU.
class TargetClasses {
 public:
  /// x [B, D] float32: normalised embeddings, rows at any distance.
  TargetClasses(StepClasses classes, at::Tensor x, bool target_kernel);

  /// [B] float64: the cosine to the target class, -inf where another rank has it. In float64: an
  /// arc cosine near +-1 turns the 6e-8 of a float32 cosine into 3e-4 of angle.
  [[nodiscard]] const at::Tensor& cosine() const noexcept { return cosine_; }
  /// gradients [B, D] float32 += slope[b] * centre / |centre|, where the class is local. slope [B]
  /// float32: d loss / d cosine.
  void add_gradients(const at::Tensor& gradients, const at::Tensor& slope) const;
  /// [B] float32: slope / |centre|, what second passes take; 0 where another rank has the class.
  [[nodiscard]] at::Tensor over_norms(const at::Tensor& slope) const;

 private:
  void take_local_rows(const at::Tensor& x);
  void take_all_rows(const at::Tensor& x);

  StepClasses classes_;
  bool target_kernel_;
  at::Tensor rows_;        // [n] int64 rows of the batch on a CPU; undefined: all
  at::Tensor directions_;  // [n, D] normalised centres, 0 where the class is elsewhere; undefined
                           // with the kernel
  at::Tensor inverse_norms_;  // [B], 0 where the class is elsewhere
  at::Tensor cosine_;
};

}  // namespace diffprob::model
