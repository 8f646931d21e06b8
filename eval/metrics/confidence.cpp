#include "eval/metrics/confidence.h"

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

namespace diffprob::eval {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Estimate estimate(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return {kNan, kNan, 0};
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  for (const double value : values) squares += (value - sum / n) * (value - sum / n);
  return {sum / n, values.size() > 1 ? std::sqrt(squares / (n - 1)) : kNan, values.size()};
}

double student_t_975(double degrees) {
  constexpr std::array<double, 30> kTable = {
      12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
      2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
      2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (!(degrees >= 1)) return kNan;
  const double whole = std::floor(degrees);
  if (whole <= 30) return kTable[static_cast<std::size_t>(whole) - 1];
  constexpr double z = 1.959963984540054;
  return z + (z * z * z + z) / (4 * whole) +
         (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * whole * whole);
}

bool Difference::is_clear() const {
  return std::abs(mean) > half_width;  // false for NaN
}

Difference paired_difference(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size() || a.empty())
    throw std::invalid_argument("paired_difference: want two lists of one length, not empty");
  std::vector<double> differences(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  const Estimate d = estimate(differences);
  return {d.mean, student_t_975(static_cast<double>(d.count) - 1) * d.deviation /
                      std::sqrt(static_cast<double>(d.count))};
}

Difference independent_difference(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty())
    throw std::invalid_argument("independent_difference: want values on both sides");
  const Estimate left = estimate(a), right = estimate(b);
  const auto n = static_cast<double>(left.count), m = static_cast<double>(right.count);
  const double mean = left.mean - right.mean;
  if (left.count > 1 && right.count > 1) {
    const double u = left.deviation * left.deviation / n, v = right.deviation * right.deviation / m;
    if (u + v == 0) return {mean, 0};
    const double degrees = (u + v) * (u + v) / (u * u / (n - 1) + v * v / (m - 1));
    return {mean, student_t_975(degrees) * std::sqrt(u + v)};
  }
  if (left.count == 1 && right.count == 1) return {mean, kNan};
  const Estimate& many = left.count > 1 ? left : right;
  const auto count = static_cast<double>(many.count);
  return {mean, student_t_975(count - 1) * many.deviation * std::sqrt(1 + 1 / count)};
}

}  // namespace diffprob::eval
