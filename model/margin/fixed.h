#pragma once

#include "model/margin/margin.h"

namespace diffprob::model {

/// Margins without state or chance:
///   none      s cos(theta)
///   cosface   s (cos(theta) - m)                Wang et al., "CosFace", CVPR 2018
///   arcface   s cos(theta + m)                  Deng et al., "ArcFace", CVPR 2019
///   combined  s (cos(m1 theta + m2) - m3)       the same paper, equation 4 (SphereFace: m1,
///   ArcFace: m2, CosFace: m3)
/// No guard beyond theta + m = pi: there the logit rises again with theta, as in the released code.
/// Gradients are exact.
/// With LossPreset::kArcfaceTorch those of arcface and combined pass as if d logit / d cosine were
/// s: the exact slope is 3.24, 1.76, 1.19 and 0.96 times that at theta = 0.2, 0.5, 1 and 1.4 (m =
/// 0.5). combined then has arcface_torch's two branches: s (cos(theta) - m3) where m3 > 0, whatever
/// m1 and m2 are, else s cos(theta + m2), which needs m1 = 1. Its `easy_margin` is never read
/// there.
[[nodiscard]] TargetLogits fixed_target(const at::Tensor& target_cosine,
                                        const MarginOptions& options);

class FixedMargin final : public Margin {
 public:
  explicit FixedMargin(const MarginOptions& options) : Margin(options) {}

 private:
  TargetLogits do_target(const MarginBatch& batch) override {
    return fixed_target(batch.target_cosine, options());
  }
};

}  // namespace diffprob::model
