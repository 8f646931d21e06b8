#pragma once

#include <cstdint>

namespace diffprob::model {

/// What all ranks together know of one row, margin-free: three cosines and sums over what is left.
struct RowStatistics {
  float target = 0;              ///< cosine to the target class
  float first = 0;               ///< largest cosine to another class, -inf when there is none
  std::int64_t first_class = 0;  ///< the lowest class with it, -1 when there is none
  float second = 0;              ///< next largest to another class, -inf when there is none
  /// Over the other classes but the first, with e = exp(scale * (cosine - second)): sums of e, e^2
  /// and -e log e. 0 without a second.
  double e = 0;
  double squares = 0;
  double entropy = 0;
};

/// The softmax of one row. See HeadScores.
struct RowScores {
  float nll, probability;  ///< with the margin
  std::int64_t top1;
  float top1_log_prob, second_log_prob, sum_p2, entropy;
};

/// target_logit: of the target class, with the margin. Terms that may be all but 1 or 0 are kept
/// apart and meet in log1p: no digits are lost when one class has nearly all the probability.
/// Not-a-number among the cosines: all of it is, and top1 is -1.
[[nodiscard]] RowScores merge_scores(const RowStatistics& row, std::int64_t label, double scale,
                                     double target_logit);

}  // namespace diffprob::model
