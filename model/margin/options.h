#pragma once

#include <string>
#include <vector>

namespace diffprob::model {

/// How the cosine of a sample to its target class centre changes in training; theta = acos(cosine),
/// s = scale. Formula and paper of each kind are in its own header: fixed.h, elastic.h,
/// curricular.h, adaface.h.
enum class MarginKind {
  kNone,
  kCosFace,
  kArcFace,
  kCombined,
  kElasticArcFace,
  kElasticCosFace,
  kElasticArcFacePlus,
  kElasticCosFacePlus,
  kCurricularFace,
  kAdaFace
};

/// Whose code a loss follows where that differs from what its paper says. A kind that a preset does
/// not name is the published one.
enum class LossPreset {
  kPublished,
  kReference,  ///< the code of the DiffProb paper: AdaFace and the Plus kinds
  /// arcface_torch, and CVLface, whose losses are built like it: the gradient of ArcFace, combined
  /// and AdaFace passes as if d logit / d cosine were s at every angle (see fixed.h, adaface.h).
  kArcfaceTorch
};

/// Options a kind does not name are not read by it. margin_defaults() has the published values of a
/// kind.
struct MarginOptions {
  MarginKind kind = MarginKind::kCosFace;
  double scale = 64.0;   ///< s: logit = s * effective cosine
  double margin = 0.35;  ///< m; the mean margin of the elastic kinds. Not read by none and combined
  double m1 = 1.0;       ///< combined: cos(m1 theta + m2) - m3
  double m2 = 0.5;       ///< combined, radians
  double m3 = 0.0;       ///< combined
  double elastic_std = 0.05;  ///< elastic kinds: standard deviation of the margin; 0 makes it fixed
  double curricular_momentum = 0.01;  ///< CurricularFace: weight of this batch in t, in [0, 1]
  /// AdaFace: norms within sigma / h of the mean move the margin linearly.
  double adaface_h = 0.333;
  /// AdaFace: weight of this batch in the norm statistics, in [0, 1].
  double adaface_t_alpha = 0.01;
  LossPreset preset = LossPreset::kPublished;
  double filter_threshold = 0.0;  ///< any kind: cosines to non-target classes above it count as 0,
                                  ///< without gradient; 0 switches it off
};

/// Published options of a kind: CosFace m 0.35, ArcFace and CurricularFace 0.5, elastic kinds 0.5
/// (Arc) and 0.35 (Cos) with std 0.05, Plus 0.0175 (Arc) and 0.02 (Cos), AdaFace 0.4.
[[nodiscard]] MarginOptions margin_defaults(MarginKind kind);

/// Value of MarginOptions::margin and elastic_std that stands for the published one of the kind.
inline constexpr double kPublished = -1;
/// Replaces a negative margin or elastic_std by the published value of the kind.
[[nodiscard]] MarginOptions with_published_values(MarginOptions options);

/// "none", "cosface", "arcface", "combined", "elastic_arcface", "elastic_cosface",
/// "elastic_arcface_plus", "elastic_cosface_plus", "curricularface", "adaface". Throws c10::Error
/// that lists what there is.
[[nodiscard]] MarginKind margin_kind(const std::string& name);
[[nodiscard]] std::string margin_name(MarginKind kind);
[[nodiscard]] std::vector<std::string> margin_names();

}  // namespace diffprob::model
