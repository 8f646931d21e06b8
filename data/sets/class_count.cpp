#include "data/sets/class_count.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <string_view>

#include "data/error.h"
#include "data/files/text_lines.h"

namespace diffprob::data {

std::optional<std::int64_t> read_property(const std::string& folder) {
  const auto path = std::filesystem::path(folder) / "property";
  if (!std::filesystem::exists(path)) return std::nullopt;
  TextLines file(path.string());
  const std::string_view line = file.next() ? file.text() : std::string_view();
  std::int64_t classes = 0;
  const auto* const end = line.data() + line.size();
  const auto [after, error] = std::from_chars(line.data(), end, classes);
  const bool ends_well = after == end || *after == ',' || *after == ' ';
  if (error != std::errc() || !ends_well || classes < 1 || classes > kMostClasses)
    throw DataError(path.string() + ": expected num_classes,height,width, found \"" +
                    std::string(line.substr(0, 60)) + "\"");
  return classes;
}

bool whole_label(double value, std::uint32_t& label) noexcept {
  if (!(value >= 0.0 && value < static_cast<double>(kMostClasses)) || value != std::floor(value))
    return false;
  label = static_cast<std::uint32_t>(value);
  return true;
}

}  // namespace diffprob::data
