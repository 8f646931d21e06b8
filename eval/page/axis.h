#pragma once

#include <span>
#include <string>
#include <vector>

namespace diffprob::eval {

/// Part of a number line, linear or logarithmic (then low > 0). low < high, both finite.
struct AxisRange {
  double low = 0;
  double high = 1;
  bool log = false;
};

/// Finite, of a size below 1e300 (differences must not overflow), and on a logarithmic axis
/// positive.
[[nodiscard]] bool can_be_drawn(double value, bool log);

/// The range of all values that can be drawn. Without any: [0, 1], logarithmic [0.1, 1]; a single
/// value gets room on both sides.
[[nodiscard]] AxisRange range_of(std::span<const double> values, bool log);

/// 0 at low, 1 at high, clamped to that; NaN for what cannot be drawn.
[[nodiscard]] double position(const AxisRange& range, double value);

/// Values to be marked, at most `most` (>= 2): multiples of 1, 2 or 5 times a power of ten; powers
/// of ten on a logarithmic axis; when it spans only a few, also their 2 and 5 fold (up to 9); less
/// than a hundredfold, as on a linear one.
[[nodiscard]] std::vector<double> ticks(const AxisRange& range, int most);

/// "0.25", "1500", "12k", "3.4M", "1e-5"; "-" for what is not finite.
[[nodiscard]] std::string short_number(double value);

}  // namespace diffprob::eval
