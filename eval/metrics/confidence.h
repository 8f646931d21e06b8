#pragma once

#include <cstddef>
#include <span>

namespace diffprob::eval {

/// Mean and sample deviation (n - 1); NaN where there are too few values.
struct Estimate {
  double mean = 0;
  double deviation = 0;
  std::size_t count = 0;
};
[[nodiscard]] Estimate estimate(std::span<const double> values);

/// 97.5 % quantile of Student's t with so many degrees of freedom (>= 1; fractions are rounded
/// down, which widens intervals). Exact to three decimals up to 30, from there the expansion in 1 /
/// degrees of Cornish and Fisher.
[[nodiscard]] double student_t_975(double degrees);

/// A difference and half the width of its 95 % confidence interval; the width is NaN when the
/// values are too few to tell.
struct Difference {
  double mean = 0;
  double half_width = 0;
  /// The interval is known and does not contain 0.
  [[nodiscard]] bool is_clear() const;
};

/// Mean of a[i] - b[i], from the spread of these. Equal sizes, >= 1; throws std::invalid_argument.
[[nodiscard]] Difference paired_difference(std::span<const double> a, std::span<const double> b);

/// mean(a) - mean(b) of independent values. With two or more on both sides Welch's interval; with
/// one on one side, that side is taken to spread as the other does. Throws std::invalid_argument
/// when either is empty.
[[nodiscard]] Difference independent_difference(std::span<const double> a,
                                                std::span<const double> b);

}  // namespace diffprob::eval
