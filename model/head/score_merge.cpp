#include "model/head/score_merge.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace diffprob::model {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// weight * gap, where a class that is not there has weight 0 and an infinite gap.
double product(double weight, double gap) {
  return weight == 0 ? 0.0 : weight * gap;
}

/// log(1 + exp(x)) without overflow.
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

void margin_free(const RowStatistics& row, std::int64_t label, double scale, RowScores& scores) {
  const double target = scale * static_cast<double>(row.target);
  const double first = scale * static_cast<double>(row.first);
  const double second = scale * static_cast<double>(row.second);
  const bool target_is_top = row.target > row.first ||
                             (row.target == row.first && label < row.first_class) ||
                             row.first_class < 0;
  const double top = target_is_top ? target : first;
  const double other = target_is_top ? first : target;  // the one of the two that is not the top
  const double other_weight = std::exp(other - top);
  const double rest_weight = std::exp(second - top);  // of a class with the cosine `second`
  const double rest = other_weight + rest_weight * row.e;
  const double squares = other_weight * other_weight + rest_weight * rest_weight * row.squares;
  // Sum of weight * (top - logit).
  const double distance = product(other_weight, top - other) + rest_weight * row.entropy +
                          product(rest_weight * row.e, top - second);
  const double log_total = std::log1p(rest);
  const double runner_up = target_is_top ? first : std::max(target, second);
  scores.top1 = target_is_top ? label : row.first_class;
  scores.top1_log_prob = static_cast<float>(-log_total);
  scores.second_log_prob = static_cast<float>(runner_up - top - log_total);
  scores.sum_p2 = static_cast<float>((1.0 + squares) / ((1.0 + rest) * (1.0 + rest)));
  scores.entropy = static_cast<float>(distance / (1.0 + rest) + log_total);
}

}  // namespace

RowScores merge_scores(const RowStatistics& row, std::int64_t label, double scale,
                       double target_logit) {
  if (std::isnan(row.target) || std::isnan(row.first)) {
    const float none = std::numeric_limits<float>::quiet_NaN();
    return {none, none, -1, none, none, none, none};
  }
  RowScores scores{};
  margin_free(row, label, scale, scores);
  const double first = scale * static_cast<double>(row.first);
  const double second = scale * static_cast<double>(row.second);
  const double others = row.first_class < 0
                            ? -kInfinity
                            : first + std::log1p(std::exp(second - first) * row.e);  // log sum exp
  const double gap = others - target_logit;
  scores.nll = static_cast<float>(softplus(gap));
  scores.probability = static_cast<float>(1.0 / (1.0 + std::exp(gap)));
  return scores;
}

}  // namespace diffprob::model
