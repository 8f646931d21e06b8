#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// How the cosine of a sample to its own class centre changes in training. Logits are scale * cosine.
enum class MarginKind { kNone, kCosFace };

struct MarginOptions {
  MarginKind kind = MarginKind::kCosFace;
  double scale = 64.0;
  double margin = 0.35;
};

/// "none", "cosface". Throws c10::Error that lists what there is.
[[nodiscard]] MarginKind margin_kind(const std::string& name);
[[nodiscard]] std::string margin_name(MarginKind kind);

/// Logits of the own class after the margin, and d(target logit) / d(cosine), both [b] in the dtype of target_cosine [b] in [-1, 1].
/// CosFace (Wang et al., CVPR 2018): s (cos - m).
struct TargetLogits {
  at::Tensor logits;
  at::Tensor slope;
};
[[nodiscard]] TargetLogits apply_margin(const at::Tensor& target_cosine, const MarginOptions& options);

}  // namespace diffprob::model
