#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace diffprob::eval {

/// k-fold verification as the field reports it (LFW protocol, InsightFace's verification.py):
/// squared Euclidean distance of L2-normalised embeddings, thresholds 0, 0.01, .. 3.99, distance <
/// threshold means same; folds contiguous (the first P mod k one longer); each fold is measured
/// with the first threshold that is best on the other folds.
struct VerificationResult {
  std::vector<double> fold_accuracy;   ///< [folds]
  std::vector<double> fold_threshold;  ///< [folds]
  double accuracy_mean = 0;
  double accuracy_std = 0;    ///< population
  double best_threshold = 0;  ///< the first one that is best on all pairs: to use the model with
  /// Accuracy on all pairs with it; slightly above accuracy_mean, because it was chosen on them.
  double best_accuracy = 0;
  std::vector<double> tpr;  ///< [400], means over the folds
  std::vector<double> fpr;  ///< [400]
};
/// distances [P], same [P]. Throws c10::Error when P < folds, folds < 2 or a distance is NaN.
[[nodiscard]] VerificationResult verify(std::span<const double> distances,
                                        const std::vector<bool>& same, int folds = 10);

/// [begin, end) of the pairs of a fold: contiguous, the first P mod folds one longer.
[[nodiscard]] std::pair<std::size_t, std::size_t> fold_range(std::size_t pairs, std::size_t folds,
                                                             std::size_t fold);

/// VAL at a FAR target: thresholds 0, 0.001, .. below 4, linear interpolation of the threshold on
/// the training folds. All NaN when a fold lacks pairs of one kind. Throws as verify() does.
struct ValAtFar {
  double val_mean = 0;
  double val_std = 0;
  double far_mean = 0;
};
[[nodiscard]] ValAtFar val_at_far(std::span<const double> distances, const std::vector<bool>& same,
                                  double far_target, int folds = 10);

}  // namespace diffprob::eval
