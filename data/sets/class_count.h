#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace diffprob::data {

/// Classes are numbered in 31 bits everywhere.
inline constexpr std::int64_t kMostClasses = std::int64_t{1} << 31;

/// First number of the `property` file in `folder` ("num_classes,112,112"), or nothing when there
/// is no such file. Throws DataError.
[[nodiscard]] std::optional<std::int64_t> read_property(const std::string& folder);

/// A label as files hold it, as a number from 0 to 2^31 - 1; false when it is anything else.
[[nodiscard]] bool whole_label(double value, std::uint32_t& label) noexcept;

}  // namespace diffprob::data
