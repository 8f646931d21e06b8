#pragma once

#include "model/margin/margin.h"

namespace diffprob::model {

/// What differs between the published AdaFace and code that calls it.
struct AdaFaceRules {
  double epsilon = 0.0;  ///< 0: none; else cosines are clamped to +-(1 - epsilon) without gradient
                         ///< beyond, and the angle to [epsilon, pi - epsilon]
  double sigma_epsilon = 0.0;     ///< 0: none; else it is added to sigma, and norms are clamped to
                                  ///< [0.001, 100]
  bool straight_through = false;  ///< the gradient passes as if d logit / d cosine = s
  bool unit_norms = false;        ///< every norm counts as 1
  bool ignore_alpha = false;      ///< statistics are those of the batch
};

/// Kim et al., "AdaFace", CVPR 2022. With n the norms of the global batch and a = adaface_t_alpha:
///   mu = a mean(n) + (1 - a) mu, sigma = a std(n) + (1 - a) sigma   (std with B - 1; start 20 and
///   100; updated before use) z = clip(h (n - mu) / sigma, -1, 1), without gradient target class: s
///   (cos(theta - m z) - (m z + m))
/// A batch of one sample has no deviation and leaves both statistics as they were.
/// LossPreset::kReference is what the DiffProb code trains with: the released head (both epsilons
/// 1e-3) fed with norms of normalised embeddings and a = 1, which is CosFace on clamped cosines.
/// LossPreset::kArcfaceTorch is CVLface's, in the manner of arcface_torch: sigma_epsilon 1e-3, no
/// clamped cosines or angles, gradients straight through.
class AdaFaceMargin final : public Margin {
 public:
  AdaFaceMargin(const MarginOptions& options, const AdaFaceRules& rules, at::Device device);
  [[nodiscard]] std::vector<std::pair<std::string, at::Tensor>> state() override {
    return {{"norm_mean", mean_}, {"norm_std", deviation_}};
  }
  /// z [B] of the last target().
  [[nodiscard]] const at::Tensor& margin_scaler() const noexcept { return scaler_; }

  [[nodiscard]] bool needs_whole_batch() const override { return true; }

 private:
  TargetLogits do_target(const MarginBatch& batch) override;
  [[nodiscard]] bool kind_changes_non_targets() const override { return rules_.epsilon > 0.0; }
  void do_non_targets(at::Tensor& cosines) const override;
  [[nodiscard]] at::Tensor do_non_target_slope(const at::Tensor& cosines) const override;
  void update_statistics(const at::Tensor& norms);

  AdaFaceRules rules_;
  at::Tensor mean_;       ///< scalar float64
  at::Tensor deviation_;  ///< scalar float64
  at::Tensor scaler_;     ///< [B] float64
};

[[nodiscard]] AdaFaceRules adaface_rules(const MarginOptions& options);

}  // namespace diffprob::model
