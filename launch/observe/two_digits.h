#pragma once

#include <spdlog/fmt/fmt.h>

#include <string>

namespace diffprob::launch {

/// Returns a number of at least 0 with two significant digits, or rounded to a whole one from 10
/// on: "0.033", "1.5", "123".
[[nodiscard]] inline std::string two_digits(double value) {
  return value < 9.95 ? fmt::format("{:.2g}", value) : fmt::format("{:.0f}", value);
}

}  // namespace diffprob::launch
