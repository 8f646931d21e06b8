#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace diffprob::eval {

/// Mean and sample deviation (n - 1); NaN where there are too few values.
struct Estimate {
  double mean = 0;
  double deviation = 0;
  std::size_t count = 0;
};
[[nodiscard]] Estimate estimate(std::span<const double> values);

/// Returns the 97.5 % quantile of Student's t, the two-sided 95 % point, to 1e-9 relative or
/// better. Degrees of freedom need not be whole. NaN unless they are above 0; infinity where the
/// quantile exceeds a double.
[[nodiscard]] double student_t_975(double degrees_of_freedom);

/// A mean or a difference of means, with half the width of its 95 % confidence interval.
struct Interval {
  double mean = 0;
  std::optional<double> half_width;  ///< Missing when the values are too few to tell.
  double degrees_of_freedom = 0;     ///< 0 without an interval, and without any spread.

  /// Returns true if there is an interval that says something: all values being equal is no proof
  /// that further ones would be.
  [[nodiscard]] bool has_spread() const;
  /// Returns true if the interval says something and does not contain 0.
  [[nodiscard]] bool is_clear() const;
};

/// Student's interval of a mean. Throws std::invalid_argument without values.
[[nodiscard]] Interval mean_interval(std::span<const double> values);

/// Student's interval of the mean of a[i] - b[i]. Throws std::invalid_argument unless both have the
/// same size, at least 1.
[[nodiscard]] Interval paired_difference(std::span<const double> a, std::span<const double> b);

/// Interval of mean(a) - mean(b) for independent values. With two or more on both sides this is
/// Welch's, with the degrees of freedom of Welch and Satterthwaite. With one value on one side,
/// that side is assumed to spread as the other does. With one on both there is no interval. Throws
/// std::invalid_argument when either side is empty.
[[nodiscard]] Interval independent_difference(std::span<const double> a, std::span<const double> b);

}  // namespace diffprob::eval
