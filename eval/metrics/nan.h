#pragma once

#include <limits>

namespace diffprob::eval {

/// A measure that the pairs do not define.
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace diffprob::eval
