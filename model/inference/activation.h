#pragma once

#include <ATen/core/Tensor.h>

#include "model/inference/folding.h"

namespace diffprob::model {

/// PReLU in place, channels last. In float32 on the CPU one pass over the data.
class InferencePrelu {
 public:
  /// slope: [channels], or [1] for all
  InferencePrelu(const at::Tensor& slope, std::int64_t channels, const at::TensorOptions& options);
  void apply(at::Tensor& x) const;

 private:
  at::Tensor slope_;  ///< [channels]
};

/// Adds the bias of BorderedWeights, then PReLU; in place, channels last. In float32 on the CPU one
/// pass over the data.
class BorderedPrelu {
 public:
  /// side: of the pictures, at least 2
  BorderedPrelu(const BorderedWeights& folded, const at::Tensor& slope, std::int64_t side,
                const at::TensorOptions& options);
  void apply(at::Tensor& x) const;

 private:
  at::Tensor bias_;  ///< float32 on the CPU: [3, 3, channels]; else [1, channels, side, side]
  at::Tensor slope_;
  std::int64_t side_;
};

/// Means over the pixels, [b, channels, 1, 1].
[[nodiscard]] at::Tensor channel_means(const at::Tensor& x);
/// sum += values * scale; scale: [b, channels, 1, 1], the others [b, channels, h, w] channels last.
void add_scaled(at::Tensor& sum, const at::Tensor& values, const at::Tensor& scale);

}  // namespace diffprob::model
