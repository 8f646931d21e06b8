#pragma once

#include <span>
#include <vector>

namespace diffprob::eval {

/// Area under the ROC curve, equal error rate (linear interpolation at fpr = 1 - tpr) and TAR at a FAR (highest tpr with fpr <= far) from
/// all ROC points; score = -distance. NaN when one of the kinds is missing.
class Roc {
 public:
  Roc(std::span<const double> distances, const std::vector<bool>& same);
  [[nodiscard]] double auc() const;
  [[nodiscard]] double eer() const;
  [[nodiscard]] double tar_at_far(double far) const;

 private:
  std::vector<double> tpr_;
  std::vector<double> fpr_;
};

}  // namespace diffprob::eval
