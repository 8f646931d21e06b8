#include "data/sets/class_count.h"

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "data/error.h"
#include "data/files/stand_in.h"

namespace diffprob::data {

std::optional<std::int64_t> read_property(const std::string& folder) {
  const auto path = std::filesystem::path(folder) / "property";
  if (!std::filesystem::exists(path)) return std::nullopt;
  refuse_stand_in(path.string());
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::int64_t classes = 0;
  const auto* const end = line.data() + line.size();
  const auto [after, error] = std::from_chars(line.data(), end, classes);
  const bool ends_well = after == end || *after == ',' || *after == '\r' || *after == ' ';
  if (!file || error != std::errc() || !ends_well || classes < 1 || classes > kMostClasses)
    throw DataError(path.string() + ": expected num_classes,height,width, found \"" +
                    line.substr(0, 60) + "\"");
  return classes;
}

bool whole_label(double value, std::uint32_t& label) noexcept {
  if (!(value >= 0.0 && value < static_cast<double>(kMostClasses)) || value != std::floor(value))
    return false;
  label = static_cast<std::uint32_t>(value);
  return true;
}

}  // namespace diffprob::data
