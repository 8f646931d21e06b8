#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "eval/metrics/roc.h"
#include "eval/metrics/verification.h"
#include "eval/metrics/verification_curves.h"

namespace diffprob::eval {

struct ValRow {
  double far_target = 0;
  ValAtFar val;
};

/// All that is measured on the pairs of a verification set.
struct SetReport {
  std::string name;
  std::int64_t pairs = 0;
  /// XNorm of InsightFace's scripts: mean length of the embeddings of the images and of their
  /// mirror images, before the two are added. NaN when only distances are known.
  double feature_norm = std::numeric_limits<double>::quiet_NaN();
  VerificationResult verification;
  double auc = 0;
  double eer = 0;
  std::int64_t genuine = 0;
  std::int64_t impostors = 0;
  /// Validation rates at FAR 1e-3 (the reference's), 1e-2, 1e-1; NaN where a fold lacks pairs of a
  /// kind.
  std::vector<ValRow> val;
  VerificationCurves curves;
  std::vector<TarAtFar> tar;  ///< at FAR 1e-6 .. 1e-1 over all pairs; rows that 1 / impostors makes
                              ///< meaningless say so
};

/// distances, same: [P], pairs in the order of the file. Throws c10::Error as verify() does.
[[nodiscard]] SetReport report_pairs(const std::string& name, std::span<const double> distances,
                                     const std::vector<bool>& same, int folds);

}  // namespace diffprob::eval
