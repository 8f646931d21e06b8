#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::eval {

/// What a report draws of a verification set, small whatever the number of pairs.
struct VerificationCurves {
  static constexpr std::size_t kBins = 100;
  /// Pairs by cosine similarity (1 - distance / 2): bin k is [-1 + k / 50, -1 + (k + 1) / 50), the
  /// last one with its end.
  std::array<std::int64_t, kBins> genuine{};
  std::array<std::int64_t, kBins> impostor{};
  /// Exact ROC at false accept rates from 1 / (impostor pairs), twenty a decade, to 1; empty when a
  /// kind of pair is missing.
  std::vector<double> far;  ///< rising
  std::vector<double> tar;  ///< highest true accept rate at a rate of at most far[i]
};

/// distances [P]: squared Euclidean distances of normalised embeddings; same [P]. Throws c10::Error
/// as Roc does.
[[nodiscard]] VerificationCurves verification_curves(std::span<const double> distances,
                                                     const std::vector<bool>& same);

}  // namespace diffprob::eval
