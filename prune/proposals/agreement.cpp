#include "prune/proposals/agreement.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace diffprob::prune {

void DirectionSum::add(std::span<const float> unit) {
  for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += static_cast<double>(unit[d]);
  ++samples;
}

double mean_cosine(const DirectionSum& group) {
  const auto n = static_cast<double>(group.samples);
  if (n < 2) return std::numeric_limits<double>::quiet_NaN();
  const double squares =
      std::inner_product(group.sum.begin(), group.sum.end(), group.sum.begin(), 0.0);
  return (squares - n) / (n * (n - 1));
}

double mean_cosine(const DirectionSum& a, const DirectionSum& b) {
  return std::inner_product(a.sum.begin(), a.sum.end(), b.sum.begin(), 0.0) /
         (static_cast<double>(a.samples) * static_cast<double>(b.samples));
}

double agreement(const DirectionSum& a, const DirectionSum& b) {
  const double inside_a = mean_cosine(a);
  const double inside_b = mean_cosine(b);
  if (!(inside_a > 0 && inside_b > 0)) return std::numeric_limits<double>::quiet_NaN();
  return mean_cosine(a, b) / std::sqrt(inside_a * inside_b);
}

}  // namespace diffprob::prune
