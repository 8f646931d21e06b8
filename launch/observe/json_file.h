#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace diffprob::launch {

/// Throws std::runtime_error naming the file when it is missing or not JSON.
[[nodiscard]] nlohmann::json read_json(const std::string& path);
/// Indented, whole or not at all.
void write_json(const std::string& path, const nlohmann::json& value);

}  // namespace diffprob::launch
