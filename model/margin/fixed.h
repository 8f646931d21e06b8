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
/// Gradients are exact; those of arcface_torch pass through acos as if it were the identity.
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
