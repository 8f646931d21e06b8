#include "eval/metrics/confidence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "eval/metrics/nan.h"

namespace diffprob::eval {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kTail = 0.05;  // on both sides together

// Equal accuracies may differ in their last bit once they are means over sets.
constexpr double kNoSpread = 1e-12;

/// Continued fraction of the incomplete beta function I_x(a, b), by Lentz's method (DLMF 8.17.22).
/// Converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;  // in place of a denominator of 0
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    fraction *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    fraction *= c * d;
    if (std::abs(c * d - 1) < kEpsilon) break;
  }
  return fraction;
}

/// log(1 + exp(u)), without overflow.
double softplus(double u) {
  return std::max(u, 0.0) + std::log1p(std::exp(-std::abs(u)));
}

/// P(|T| > t) as a function of u = log(t^2 / v), so that t may be beyond what a double holds.
class TwoSidedTail {
 public:
  explicit TwoSidedTail(double degrees_of_freedom)
      : a_(degrees_of_freedom / 2),
        log_beta_(std::lgamma(a_) + std::lgamma(0.5) - std::lgamma(a_ + 0.5)) {}

  /// Minus the derivative by u.
  [[nodiscard]] double slope(double u) const {
    return std::exp(-a_ * softplus(u) - 0.5 * softplus(-u) - log_beta_);
  }

  /// I_x(v/2, 1/2) with x = v / (v + t^2).
  [[nodiscard]] double operator()(double u) const {
    const double x = std::exp(-softplus(u)), y = std::exp(-softplus(-u));  // x + y = 1
    if (x < (a_ + 1) / (a_ + 2.5)) return slope(u) * beta_fraction(x, a_, 0.5) / a_;
    return 1 - slope(u) * beta_fraction(y, 0.5, a_) / 0.5;
  }

 private:
  double a_;
  double log_beta_;
};

/// The expansion of Cornish and Fisher in 1 / v (Abramowitz and Stegun 26.7.5).
double near_normal_quantile(double v) {
  const double z = 1.959963984540054, z2 = z * z;
  const double g1 = z * (z2 + 1) / 4;
  const double g2 = z * ((5 * z2 + 16) * z2 + 3) / 96;
  const double g3 = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
  const double g4 = z * ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
  return z + (g1 + (g2 + (g3 + g4 / v) / v) / v) / v;
}

/// An interval from a standard error; none that means anything without spread.
Interval interval_of(double mean, double standard_error, double degrees_of_freedom) {
  if (standard_error < kNoSpread) return {mean, 0, 0};
  return {mean, student_t_975(degrees_of_freedom) * standard_error, degrees_of_freedom};
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  if (values.empty()) return {kNan, kNan, 0};
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  for (const double value : values) squares += (value - sum / n) * (value - sum / n);
  return {sum / n, values.size() > 1 ? std::sqrt(squares / (n - 1)) : kNan, values.size()};
}

double student_t_975(double degrees_of_freedom) {
  const double v = degrees_of_freedom;
  if (!(v > 0)) return kNan;
  if (v > 1000) return near_normal_quantile(v);  // its error is below 1e-14 there
  const TwoSidedTail tail(v);
  double low = std::log(1.9 * 1.9 / v), high = low + 1;  // the quantile is never below 1.96
  for (double step = 1; tail(high) > kTail; step *= 2) high += step;
  double u = (low + high) / 2;
  for (int i = 0; i < 200; ++i) {
    const double excess = tail(u) - kTail;
    (excess > 0 ? low : high) = u;
    double next = u + excess / tail.slope(u);                         // Newton's step,
    if (!(next > low && next < high)) next = low + (high - low) / 2;  // or half the bracket
    const bool done = std::abs(next - u) <= 2 * kEpsilon * std::max(1.0, std::abs(u));
    u = next;
    if (done) break;
  }
  return std::exp((u + std::log(v)) / 2);
}

bool Interval::has_spread() const {
  return half_width && degrees_of_freedom > 0;
}

bool Interval::is_clear() const {
  return has_spread() && std::abs(mean) > *half_width;  // false for NaN
}

Interval mean_interval(std::span<const double> values) {
  if (values.empty()) throw std::invalid_argument("mean_interval: expected at least one value");
  const Estimate e = estimate(values);
  if (e.count == 1) return {e.mean, std::nullopt, 0};
  const auto n = static_cast<double>(e.count);
  return interval_of(e.mean, e.deviation / std::sqrt(n), n - 1);
}

Interval paired_difference(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size() || a.empty())
    throw std::invalid_argument(
        "paired_difference: expected two lists of the same size, at least 1");
  std::vector<double> differences(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  return mean_interval(differences);
}

Interval independent_difference(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty())
    throw std::invalid_argument("independent_difference: expected values on both sides");
  const Estimate left = estimate(a), right = estimate(b);
  const double mean = left.mean - right.mean;
  if (left.count == 1 && right.count == 1) return {mean, std::nullopt, 0};
  if (left.count == 1 || right.count == 1) {
    const Estimate& many = left.count > 1 ? left : right;
    const auto n = static_cast<double>(many.count);
    return interval_of(mean, many.deviation * std::sqrt(1 + 1 / n), n - 1);
  }
  const auto n = static_cast<double>(left.count), m = static_cast<double>(right.count);
  const double u = left.deviation * left.deviation / n, v = right.deviation * right.deviation / m;
  return interval_of(mean, std::sqrt(u + v),
                     (u + v) * (u + v) / (u * u / (n - 1) + v * v / (m - 1)));
}

}  // namespace diffprob::eval
