#include "eval/roc.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>

#include <c10/util/Exception.h>

namespace diffprob::eval {

Roc::Roc(std::span<const double> distances, const std::vector<bool>& same) {
  TORCH_CHECK(distances.size() == same.size(), "ROC: ", distances.size(), " distances, but ", same.size(), " same / not same flags");
  for (std::size_t i = 0; i < distances.size(); ++i)
    TORCH_CHECK(!std::isnan(distances[i]), "ROC: the distance of pair ", i, " is not a number");
  const auto same_pairs = static_cast<double>(std::count(same.begin(), same.end(), true));
  const double different_pairs = static_cast<double>(same.size()) - same_pairs;
  if (same_pairs == 0 || different_pairs == 0) return;

  std::vector<std::size_t> order(distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });

  tpr_.push_back(0);
  fpr_.push_back(0);
  double accepted_same = 0, accepted_different = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    (same[order[k]] ? accepted_same : accepted_different) += 1;
    // No threshold lies between equal distances, so they make one point.
    if (k + 1 < order.size() && distances[order[k + 1]] == distances[order[k]]) continue;
    tpr_.push_back(accepted_same / same_pairs);
    fpr_.push_back(accepted_different / different_pairs);
  }
}

double Roc::auc() const {
  if (tpr_.empty()) return std::numeric_limits<double>::quiet_NaN();
  double area = 0;
  for (std::size_t i = 1; i < tpr_.size(); ++i) area += (fpr_[i] - fpr_[i - 1]) * (tpr_[i] + tpr_[i - 1]) / 2;
  return area;
}

double Roc::eer() const {
  // fpr - (1 - tpr) rises strictly from -1 to 1: it crosses 0 once.
  for (std::size_t i = 1; i < tpr_.size(); ++i) {
    const double after = fpr_[i] + tpr_[i] - 1;
    if (after < 0) continue;
    const double before = fpr_[i - 1] + tpr_[i - 1] - 1;
    return fpr_[i - 1] - before / (after - before) * (fpr_[i] - fpr_[i - 1]);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double Roc::tar_at_far(double far) const {
  if (tpr_.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto above = std::upper_bound(fpr_.begin(), fpr_.end(), far);
  TORCH_CHECK(above != fpr_.begin(), "tar_at_far: want a FAR of 0 or more, got ", far);
  return tpr_[static_cast<std::size_t>(above - fpr_.begin()) - 1];
}

}  // namespace diffprob::eval
