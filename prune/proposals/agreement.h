#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::prune {

/// Sum of some samples' embeddings on the unit sphere.
struct DirectionSum {
  explicit DirectionSum(std::size_t dim) : sum(dim, 0) {}
  /// unit: [D], of length 1.
  void add(std::span<const float> unit);
  std::vector<double> sum;  ///< [D]
  std::int64_t samples = 0;
};

/// Mean cosine of two different samples of a group: (|sum|^2 - n) / (n (n - 1)). NaN for fewer than
/// two samples.
[[nodiscard]] double mean_cosine(const DirectionSum& group);
/// Mean cosine of a sample of one group and a sample of the other.
[[nodiscard]] double mean_cosine(const DirectionSum& a, const DirectionSum& b);

/// How well the centres of two groups agree: the mean cosine between the groups over the geometric
/// mean of those inside them. That is an estimate of the cosine of the true centres in which the
/// scatter of few samples does not count (Spearman's correction for attenuation): about 1 for two
/// parts of one person, whatever their sizes. NaN when a group has fewer than two samples or no
/// direction.
[[nodiscard]] double agreement(const DirectionSum& a, const DirectionSum& b);

}  // namespace diffprob::prune
