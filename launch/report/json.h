#pragma once

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace diffprob::launch {

/// What a report takes from JSON files that may be older, newer, cut short or not ours: the value
/// when it is there and of that kind, else the substitute.
[[nodiscard]] double number_at(const nlohmann::json& json, const char* key,
                               double otherwise = std::numeric_limits<double>::quiet_NaN());
[[nodiscard]] std::string text_at(const nlohmann::json& json, const char* key,
                                  const std::string& otherwise = "");
/// null when it is not there.
[[nodiscard]] const nlohmann::json& value_at(const nlohmann::json& json, const char* key);
/// NaN for elements that are no numbers; empty when there is no list.
[[nodiscard]] std::vector<double> numbers_at(const nlohmann::json& json, const char* key);

}  // namespace diffprob::launch
