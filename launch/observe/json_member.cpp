#include "launch/observe/json_member.h"

namespace diffprob::launch::detail {

void fail_json(const std::string& name, const char* expected, const nlohmann::json& value) {
  const std::string found = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  throw std::runtime_error(name + ": expected " + expected + ", found " + found.substr(0, 40));
}

std::int64_t json_integer(const nlohmann::json& value, const std::string& name) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && !std::in_range<std::int64_t>(value.get<std::uint64_t>())))
    fail_json(name, "a whole number", value);
  return value.get<std::int64_t>();
}

}  // namespace diffprob::launch::detail
