#include "eval/metrics/verification.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <c10/util/Exception.h>

#include "eval/metrics/nan.h"

namespace diffprob::eval {
namespace {

/// index * step, one multiplication each: a running sum would drift off the values that the field
/// uses.
std::vector<double> make_thresholds(int count, double step) {
  std::vector<double> thresholds(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < thresholds.size(); ++i) thresholds[i] = static_cast<double>(i) * step;
  return thresholds;
}

/// Pairs said to be the same at each threshold. [T]
struct Accepted {
  std::vector<std::int64_t> same;
  std::vector<std::int64_t> different;
  std::int64_t same_pairs = 0;
  std::int64_t different_pairs = 0;

  [[nodiscard]] std::int64_t correct(std::size_t threshold) const {
    return same[threshold] + different_pairs - different[threshold];
  }
};

/// One look at each pair: where its distance falls among the thresholds; sums over the bins then
/// give every threshold at once.
Accepted count_accepted(std::span<const double> distances, const std::vector<bool>& same,
                        std::pair<std::size_t, std::size_t> range,
                        const std::vector<double>& thresholds) {
  Accepted counts{std::vector<std::int64_t>(thresholds.size()),
                  std::vector<std::int64_t>(thresholds.size())};
  for (std::size_t i = range.first; i < range.second; ++i) {
    (same[i] ? counts.same_pairs : counts.different_pairs) += 1;
    const auto first_above = std::upper_bound(thresholds.begin(), thresholds.end(), distances[i]);
    if (first_above != thresholds.end())
      (same[i] ? counts.same
               : counts.different)[static_cast<std::size_t>(first_above - thresholds.begin())] += 1;
  }
  std::partial_sum(counts.same.begin(), counts.same.end(), counts.same.begin());
  std::partial_sum(counts.different.begin(), counts.different.end(), counts.different.begin());
  return counts;
}

void add(Accepted& total, const Accepted& part, std::int64_t sign) {
  for (std::size_t t = 0; t < total.same.size(); ++t) {
    total.same[t] += sign * part.same[t];
    total.different[t] += sign * part.different[t];
  }
  total.same_pairs += sign * part.same_pairs;
  total.different_pairs += sign * part.different_pairs;
}

/// Counts of each fold and of all of them.
struct FoldCounts {
  std::vector<Accepted> of_fold;
  Accepted total;

  [[nodiscard]] Accepted training(std::size_t fold) const {
    Accepted others = total;
    add(others, of_fold[fold], -1);
    return others;
  }
};

FoldCounts count_folds(std::span<const double> distances, const std::vector<bool>& same,
                       std::size_t folds, const std::vector<double>& thresholds) {
  FoldCounts counts;
  counts.total = {std::vector<std::int64_t>(thresholds.size()),
                  std::vector<std::int64_t>(thresholds.size())};
  for (std::size_t fold = 0; fold < folds; ++fold) {
    counts.of_fold.push_back(
        count_accepted(distances, same, fold_range(distances.size(), folds, fold), thresholds));
    add(counts.total, counts.of_fold.back(), 1);
  }
  return counts;
}

void check_pairs(std::span<const double> distances, const std::vector<bool>& same, int folds) {
  TORCH_CHECK(distances.size() == same.size(), "verification: ", distances.size(),
              " distances, but ", same.size(), " same / not same flags");
  TORCH_CHECK(folds >= 2, "verification: expected at least 2 folds, got ", folds);
  TORCH_CHECK(distances.size() >= static_cast<std::size_t>(folds),
              "verification: ", distances.size(), " pairs are too few for ", folds, " folds");
  for (std::size_t i = 0; i < distances.size(); ++i) {
    TORCH_CHECK(!std::isnan(distances[i]), "verification: the distance of pair ", i,
                " is not a number (the model's embeddings are not finite)");
  }
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double population_std(const std::vector<double>& values) {
  const double center = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - center) * (v - center);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

double ratio(std::int64_t part, std::int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

/// First threshold of the highest accuracy. Counts are compared, not quotients: the number of pairs
/// is the same for all.
std::size_t best_threshold(const Accepted& counts) {
  std::size_t best = 0;
  for (std::size_t t = 1; t < counts.same.size(); ++t) {
    if (counts.correct(t) > counts.correct(best)) best = t;
  }
  return best;
}

/// Adds a fold's rates / folds to the means; a fold without pairs of a kind adds 0.
void add_rates(const Accepted& fold, std::size_t folds, VerificationResult& result) {
  for (std::size_t t = 0; t < fold.same.size(); ++t) {
    if (fold.same_pairs > 0)
      result.tpr[t] += ratio(fold.same[t], fold.same_pairs) / static_cast<double>(folds);
    if (fold.different_pairs > 0)
      result.fpr[t] += ratio(fold.different[t], fold.different_pairs) / static_cast<double>(folds);
  }
}

/// The threshold whose FAR on the training folds is the target: between the last one not above it
/// and the next. 0 if the target is never reached.
double threshold_at_far(const Accepted& training, const std::vector<double>& thresholds,
                        double far_target) {
  const auto far = [&](std::size_t t) {
    return ratio(training.different[t], training.different_pairs);
  };
  const std::size_t last = thresholds.size() - 1;
  if (far(last) < far_target) return 0;
  std::size_t i = last;
  while (i > 0 && far(i) > far_target) --i;
  if (i == last) return thresholds[last];
  return thresholds[i] +
         (far_target - far(i)) * (thresholds[i + 1] - thresholds[i]) / (far(i + 1) - far(i));
}

}  // namespace

std::pair<std::size_t, std::size_t> fold_range(std::size_t pairs, std::size_t folds,
                                               std::size_t fold) {
  const auto begin_of = [=](std::size_t f) {
    return f * (pairs / folds) + std::min(f, pairs % folds);
  };
  return {begin_of(fold), begin_of(fold + 1)};
}

VerificationResult verify(std::span<const double> distances, const std::vector<bool>& same,
                          int folds) {
  check_pairs(distances, same, folds);
  const auto thresholds = make_thresholds(400, 0.01);
  const auto fold_count = static_cast<std::size_t>(folds);
  const FoldCounts counts = count_folds(distances, same, fold_count, thresholds);

  VerificationResult result;
  result.tpr.assign(thresholds.size(), 0);
  result.fpr.assign(thresholds.size(), 0);
  for (std::size_t fold = 0; fold < fold_count; ++fold) {
    const Accepted& test = counts.of_fold[fold];
    const std::size_t best = best_threshold(counts.training(fold));
    result.fold_threshold.push_back(thresholds[best]);
    result.fold_accuracy.push_back(
        ratio(test.correct(best), test.same_pairs + test.different_pairs));
    add_rates(test, fold_count, result);
  }
  const std::size_t best = best_threshold(counts.total);
  result.best_threshold = thresholds[best];
  result.best_accuracy =
      ratio(counts.total.correct(best), counts.total.same_pairs + counts.total.different_pairs);
  result.accuracy_mean = mean(result.fold_accuracy);
  result.accuracy_std = population_std(result.fold_accuracy);
  return result;
}

ValAtFar val_at_far(std::span<const double> distances, const std::vector<bool>& same,
                    double far_target, int folds) {
  check_pairs(distances, same, folds);
  TORCH_CHECK(far_target >= 0 && far_target <= 1, "val_at_far: expected a FAR in [0, 1], got ",
              far_target);
  const auto thresholds = make_thresholds(4000, 0.001);
  const FoldCounts counts =
      count_folds(distances, same, static_cast<std::size_t>(folds), thresholds);

  std::vector<double> val, far;
  for (std::size_t fold = 0; fold < counts.of_fold.size(); ++fold) {
    const Accepted& test = counts.of_fold[fold];
    const Accepted training = counts.training(fold);
    // As the reference, which stops with a division by zero here: a mean over fewer folds would not
    // be comparable.
    if (std::min({test.same_pairs, test.different_pairs, training.same_pairs,
                  training.different_pairs}) == 0)
      return {kNan, kNan, kNan};
    const std::vector<double> chosen{threshold_at_far(training, thresholds, far_target)};
    const Accepted at = count_accepted(
        distances, same, fold_range(distances.size(), counts.of_fold.size(), fold), chosen);
    val.push_back(ratio(at.same[0], at.same_pairs));
    far.push_back(ratio(at.different[0], at.different_pairs));
  }
  return {mean(val), population_std(val), mean(far)};
}

}  // namespace diffprob::eval
