#pragma once

#include <cstdint>

#include "model/weights/weights.h"

namespace diffprob::model {

struct LossScalerOptions {
  double initial_scale = 65536;
  double growth_factor = 2;
  double backoff_factor = 0.5;
  /// Updates in a row without an overflow before the scale grows.
  std::int64_t growth_interval = 2000;
};

/// Scale to start with: 65536, what torch.amp starts with, at 256 rows, and in proportion to the
/// global batch, rounded down to a power of two. The loss is a mean over the global batch, so the
/// gradient of one row shrinks as the batch grows, and fp16 has no digits to spare below 6e-5.
[[nodiscard]] double initial_loss_scale(std::int64_t global_batch);

/// Scale of the loss for training in fp16, as torch.amp.GradScaler keeps it: halved when a gradient
/// overflowed, doubled after a long time without. Lives on the device; the host never reads it.
/// Ranks that give the same answers to update() hold the same scale.
class LossScaler {
 public:
  LossScaler(const LossScalerOptions& options, at::Device device);

  /// Scalar float32: what to multiply the loss (or the gradient that backward starts from) with,
  /// and ClipOptions::loss_scale.
  [[nodiscard]] const at::Tensor& scale() const noexcept { return scale_; }
  /// After each update. finite: scalar, 0 when the gradients of any rank were not finite
  /// (GradientNorm::finite, reduced over the ranks).
  void update(const at::Tensor& finite);
  /// Live tensors, for checkpoints: "scale", "growth_tracker".
  [[nodiscard]] StateDict state() const {
    return {{"scale", scale_}, {"growth_tracker", growth_tracker_}};
  }

 private:
  LossScalerOptions options_;
  at::Tensor scale_;           ///< [] float32
  at::Tensor growth_tracker_;  ///< [] int32: updates since the last change
};

}  // namespace diffprob::model
