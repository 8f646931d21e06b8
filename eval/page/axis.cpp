#include "eval/page/axis.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace diffprob::eval {
namespace {

constexpr double kTolerance = 1e-9;

std::vector<double> linear_ticks(double low, double high, int most) {
  const double raw = (high - low) / most;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * (1 - kTolerance)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> values;
  if (!(step > 0) || !std::isfinite(step)) return values;
  const double first = std::ceil(low / step - kTolerance);
  for (int i = 0; i <= most && (first + i) * step <= high + kTolerance * step; ++i)
    values.push_back((first + i) * step);
  return values;
}

std::vector<double> decade_ticks(double low, double high, int most) {
  const int first = static_cast<int>(std::ceil(std::log10(low) - kTolerance));
  const int last = static_cast<int>(std::floor(std::log10(high) + kTolerance));
  if (last - first < 2) {  // few decades: 2 and 5 as well
    std::vector<double> all;
    for (int power = first - 1; power <= last; ++power) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double value = factor * std::pow(10, power);
        if (value >= low * (1 - kTolerance) && value <= high * (1 + kTolerance))
          all.push_back(value);
      }
    }
    return all;
  }
  const int stride = std::max(1, (last - first) / most + 1);
  std::vector<double> values;
  for (int power = first; power <= last; power += stride) values.push_back(std::pow(10, power));
  return values;
}

}  // namespace

bool can_be_drawn(double value, bool log) {
  constexpr double kLargest = 1e300;
  return std::abs(value) < kLargest && (!log || value > 0);  // false for NaN
}

AxisRange range_of(std::span<const double> values, bool log) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    if (!can_be_drawn(value, log)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) return {log ? 0.1 : 0, 1, log};
  if (low < high) return {low, high, log};
  if (log) return {low / 2, high * 2, true};
  const double room = low == 0 ? 1 : std::abs(low) / 2;
  return {low - room, high + room, false};
}

double position(const AxisRange& range, double value) {
  if (!can_be_drawn(value, range.log)) return std::numeric_limits<double>::quiet_NaN();
  const double share = range.log ? std::log(value / range.low) / std::log(range.high / range.low)
                                 : (value - range.low) / (range.high - range.low);
  return std::clamp(share, 0.0, 1.0);
}

std::vector<double> ticks(const AxisRange& range, int most) {
  if (range.log && range.high / range.low >= 100) return decade_ticks(range.low, range.high, most);
  return linear_ticks(range.low, range.high, most);
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size < 1e-12) return "0";
  if (size >= 1e9 || size < 1e-3) {
    const int power = static_cast<int>(std::floor(std::log10(size) + kTolerance));
    return fmt::format("{:.3g}e{}", value / std::pow(10, power), power);
  }
  if (size >= 1e6) return fmt::format("{:.4g}M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.4g}k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

}  // namespace diffprob::eval
