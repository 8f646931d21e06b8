#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/softmax/chunk_softmax.h"
#include "model/softmax/class_sampler.h"
#include "model/softmax/head_update.h"

namespace diffprob::model {

/// The classes of one rank that take part in a step: all of its shard, or a sample. n = how many.
class StepClasses {
 public:
  /// weight [C_r, D] float32 or bfloat16, labels [B] of the global batch.
  static StepClasses all(at::Tensor weight, std::int64_t first_class, const at::Tensor& labels);
  static StepClasses sampled(at::Tensor weight, std::int64_t first_class, const at::Tensor& labels,
                             const SampledClasses& sample);

  [[nodiscard]] std::int64_t count() const noexcept { return count_; }
  [[nodiscard]] const TargetPositions& targets() const noexcept { return targets_; }
  /// [c, D] float32: centres begin .. begin + c - 1. A view of the weights where it can be.
  [[nodiscard]] at::Tensor centres(std::int64_t begin, std::int64_t c) const;
  /// [b, D] float32, new: the centre of the label of each of these rows of the batch; undefined: of
  /// all rows. Of any class where targets().is_local is false. n > 0.
  [[nodiscard]] at::Tensor target_centres(const at::Tensor& batch_rows) const;
  /// The whole shard, [C_r, D] float32 or bfloat16, and the rows of it that take part, [n] int64;
  /// undefined: all.
  [[nodiscard]] const at::Tensor& weight() const noexcept { return weight_; }
  [[nodiscard]] const at::Tensor& rows() const noexcept { return rows_; }
  [[nodiscard]] RowGradients gradients(std::int64_t begin, at::Tensor gradient) const;

 private:
  at::Tensor weight_;
  at::Tensor rows_;  // [n] rows of the shard; undefined: all
  TargetPositions targets_;
  std::int64_t count_ = 0;
};

}  // namespace diffprob::model
