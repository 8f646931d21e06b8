#pragma once

#include <ATen/core/Tensor.h>

#include "model/margin/margin.h"

namespace diffprob::model {

/// Least sine of an angle that a slope is divided by. sin(theta + m) / sin(theta) has no limit at
/// theta = 0 and pi, but the part of the gradient that survives the normalisation is that slope
/// times sin(theta), which stays bounded. Below 1e-4 a float32 cosine is +-1 and holds no
/// direction: the bound keeps the rounding of the cosine's own gradient (1e-7) small instead of
/// blowing it up to NaN.
inline constexpr double kSmallestSine = 1e-4;

/// theta [b] of cosines [b].
[[nodiscard]] at::Tensor angle_of(const at::Tensor& cosine);

/// s cos(shifted) and its exact derivative to cosine, for shifted = factor * theta + a constant
/// (all [b]): s factor sin(shifted) / sin(theta).
[[nodiscard]] TargetLogits logits_at_angle(const at::Tensor& cosine, const at::Tensor& shifted,
                                           double factor, double scale);

/// The same logits with the slope s at every angle, as if the margin's arc cosine and cosine were
/// constants: what code does that moves the angle where no gradient is recorded.
[[nodiscard]] TargetLogits straight_through(const TargetLogits& target, double scale);

/// s (cos - margin), margin a number or [b].
[[nodiscard]] TargetLogits additive_logits(const at::Tensor& cosine, const at::Tensor& margin,
                                           double scale);
[[nodiscard]] TargetLogits additive_logits(const at::Tensor& cosine, double margin, double scale);

}  // namespace diffprob::model
