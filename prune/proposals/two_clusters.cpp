#include "prune/proposals/two_clusters.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "prune/proposals/agreement.h"

namespace diffprob::prune {
namespace {

constexpr int kRounds = 50;
constexpr int kPowerSteps = 30;

class Clustering {
 public:
  Clustering(std::span<const float> units, std::size_t dim)
      : units_(units), dim_(dim), size_(units.size() / dim), second_(size_, false) {}

  TwoClusters run() {
    if (size_ < 2) return {second_, 0, 1};
    split_by_variance();
    for (int round = 0; round < kRounds && assign(); ++round) continue;
    const DirectionSum first = sum_of(false), second = sum_of(true);
    if (first.samples == 0 || second.samples == 0) return {std::vector<bool>(size_, false), 0, 1};
    const bool second_is_smaller =
        second.samples != first.samples ? second.samples < first.samples : !second_[0];
    TwoClusters found{second_, std::min(first.samples, second.samples), agreement(first, second)};
    if (!second_is_smaller) found.in_smaller.flip();
    return found;
  }

 private:
  [[nodiscard]] std::span<const float> row(std::size_t i) const {
    return units_.subspan(i * dim_, dim_);
  }
  [[nodiscard]] double along(std::size_t i, const std::vector<double>& direction) const {
    return std::inner_product(row(i).begin(), row(i).end(), direction.begin(), 0.0);
  }
  [[nodiscard]] DirectionSum sum_of(bool second) const {
    DirectionSum sum(dim_);
    for (std::size_t i = 0; i < size_; ++i)
      if (second_[i] == second) sum.add(row(i));
    return sum;
  }

  /// Power iteration with the scatter of the rows about their mean, from the row that is farthest
  /// from the mean.
  void split_by_variance() {
    DirectionSum all(dim_);
    for (std::size_t i = 0; i < size_; ++i) all.add(row(i));
    std::vector<double> mean = all.sum;
    for (double& value : mean) value /= static_cast<double>(size_);
    std::size_t farthest = 0;
    for (std::size_t i = 1; i < size_; ++i)
      if (along(i, mean) < along(farthest, mean)) farthest = i;
    std::vector<double> direction(dim_);
    for (std::size_t d = 0; d < dim_; ++d)
      direction[d] = static_cast<double>(row(farthest)[d]) - mean[d];
    std::vector<double> places(size_);
    for (int step = 0; step < kPowerSteps; ++step) {
      const double middle = std::inner_product(mean.begin(), mean.end(), direction.begin(), 0.0);
      for (std::size_t i = 0; i < size_; ++i) places[i] = along(i, direction) - middle;
      std::vector<double> next(dim_, 0);
      for (std::size_t i = 0; i < size_; ++i)
        for (std::size_t d = 0; d < dim_; ++d)
          next[d] += places[i] * (static_cast<double>(row(i)[d]) - mean[d]);
      const double length =
          std::sqrt(std::inner_product(next.begin(), next.end(), next.begin(), 0.0));
      if (!(length > 0)) break;  // all rows are equal
      for (std::size_t d = 0; d < dim_; ++d) direction[d] = next[d] / length;
    }
    for (std::size_t i = 0; i < size_; ++i) second_[i] = places[i] > 0;
  }

  /// Every row to the nearer centre. Returns true if one changed.
  bool assign() {
    std::vector<double> centres[2] = {sum_of(false).sum, sum_of(true).sum};
    for (auto& centre : centres) {
      const double length =
          std::sqrt(std::inner_product(centre.begin(), centre.end(), centre.begin(), 0.0));
      if (!(length > 0)) return false;
      for (double& value : centre) value /= length;
    }
    bool changed = false;
    for (std::size_t i = 0; i < size_; ++i) {
      const bool second = along(i, centres[1]) > along(i, centres[0]);
      changed |= second != second_[i];
      second_[i] = second;
    }
    return changed;
  }

  std::span<const float> units_;
  std::size_t dim_;
  std::size_t size_;
  std::vector<bool> second_;
};

}  // namespace

TwoClusters two_clusters(std::span<const float> units, std::size_t dim) {
  return Clustering(units, dim).run();
}

}  // namespace diffprob::prune
