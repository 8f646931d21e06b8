#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::tests {

/// The protocol word by word: for every fold and every threshold, look at every pair.
struct SlowRates {
  double tpr = 0;
  double fpr = 0;
  double accuracy = 0;
};

inline std::vector<int> slow_fold_of_pair(std::size_t pairs, int folds) {
  std::vector<int> fold_of_pair;
  for (int fold = 0; fold < folds; ++fold) {
    const std::size_t size =
        pairs / static_cast<std::size_t>(folds) +
        (static_cast<std::size_t>(fold) < pairs % static_cast<std::size_t>(folds) ? 1 : 0);
    fold_of_pair.insert(fold_of_pair.end(), size, fold);
  }
  return fold_of_pair;
}

/// Rates over the pairs of one fold (`inside`) or of all others; a rate of no pairs is 0.
inline SlowRates slow_rates(std::span<const double> distances, const std::vector<bool>& same,
                            const std::vector<int>& fold_of_pair, int fold, bool inside,
                            double threshold) {
  double true_accepts = 0, false_accepts = 0, same_pairs = 0, different_pairs = 0;
  for (std::size_t i = 0; i < distances.size(); ++i) {
    if ((fold_of_pair[i] == fold) != inside) continue;
    const bool accepted = distances[i] < threshold;
    (same[i] ? same_pairs : different_pairs) += 1;
    if (accepted) (same[i] ? true_accepts : false_accepts) += 1;
  }
  return {same_pairs > 0 ? true_accepts / same_pairs : 0,
          different_pairs > 0 ? false_accepts / different_pairs : 0,
          (true_accepts + different_pairs - false_accepts) / (same_pairs + different_pairs)};
}

}  // namespace diffprob::tests
