#pragma once

#include "model/margin/margin.h"

namespace diffprob::model {

/// Huang et al., "CurricularFace", CVPR 2020, and its released code. Own class: s cos(theta + m),
/// or s (cos(theta) - m sin(pi - m)) where theta + m >= pi. Cosines to non-target classes above
/// cos(theta + m) of their row are hard: c (t + c) instead of c. t starts at 0 and is (1 - a) t + a
/// mean(target cosine) over the global batch, a = curricular_momentum, updated before it is used.
class CurricularMargin final : public Margin {
 public:
  CurricularMargin(const MarginOptions& options, at::Device device);
  [[nodiscard]] std::vector<std::pair<std::string, at::Tensor>> state() override {
    return {{"t", t_}};
  }

  [[nodiscard]] bool needs_whole_batch() const override { return true; }

 private:
  TargetLogits do_target(const MarginBatch& batch) override;
  [[nodiscard]] bool kind_changes_non_targets() const override { return true; }
  void do_non_targets(at::Tensor& cosines) const override;
  [[nodiscard]] at::Tensor do_non_target_slope(const at::Tensor& cosines) const override;

  at::Tensor t_;          ///< scalar float64
  at::Tensor threshold_;  ///< [B, 1] float64, cos(theta + m) of the last batch
};

/// The target-class rule alone.
[[nodiscard]] TargetLogits curricular_target(const at::Tensor& target_cosine, double margin,
                                             double scale);

}  // namespace diffprob::model
