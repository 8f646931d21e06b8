#pragma once

#include <limits>

namespace diffprob::model {

/// In place of the cosine of a class that is not there: below every cosine, and nothing in a sum of
/// exponentials.
inline constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

}  // namespace diffprob::model
