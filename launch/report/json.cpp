#include "launch/report/json.h"

namespace diffprob::launch {

const nlohmann::json& value_at(const nlohmann::json& json, const char* key) {
  static const nlohmann::json null;
  if (!json.is_object()) return null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

double number_at(const nlohmann::json& json, const char* key, double otherwise) {
  const auto& value = value_at(json, key);
  return value.is_number() ? value.get<double>() : otherwise;
}

std::string text_at(const nlohmann::json& json, const char* key, const std::string& otherwise) {
  const auto& value = value_at(json, key);
  return value.is_string() ? value.get<std::string>() : otherwise;
}

std::vector<double> numbers_at(const nlohmann::json& json, const char* key) {
  std::vector<double> values;
  const auto& list = value_at(json, key);
  if (!list.is_array()) return values;
  values.reserve(list.size());
  for (const auto& value : list)
    values.push_back(value.is_number() ? value.get<double>()
                                       : std::numeric_limits<double>::quiet_NaN());
  return values;
}

}  // namespace diffprob::launch
