#pragma once

#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace diffprob::launch {

namespace detail {
/// Throws std::runtime_error: "NAME: expected EXPECTED, found VALUE".
[[noreturn]] void fail_json(const std::string& name, const char* expected,
                            const nlohmann::json& value);
/// Returns the integer that `value` holds. Throws when it is a fraction, a float (even a whole one)
/// or beyond std::int64_t.
[[nodiscard]] std::int64_t json_integer(const nlohmann::json& value, const std::string& name);
}  // namespace detail

/// Returns `value` as T: an integer type, double or std::string. Throws std::runtime_error that
/// calls it `name` when it is of another kind, or does not fit T. (nlohmann's get() casts any
/// number to any other without a check.)
template <class T>
[[nodiscard]] T json_as(const nlohmann::json& value, const std::string& name) {
  if constexpr (std::same_as<T, std::string>) {
    if (!value.is_string()) detail::fail_json(name, "a string", value);
    return value.get<std::string>();
  } else if constexpr (std::floating_point<T>) {
    if (!value.is_number()) detail::fail_json(name, "a number", value);
    return value.get<T>();
  } else if constexpr (std::same_as<T, std::uint64_t>) {
    if (!value.is_number_unsigned()) detail::fail_json(name, "a whole number from 0", value);
    return value.get<std::uint64_t>();
  } else {
    static_assert(std::integral<T>);
    const std::int64_t integer = detail::json_integer(value, name);
    if (!std::in_range<T>(integer)) detail::fail_json(name, "a smaller whole number", value);
    return static_cast<T>(integer);
  }
}

/// Returns member `key` of an object, as json_as does. Throws when there is no such member.
template <class T>
[[nodiscard]] T json_member(const nlohmann::json& object, const char* key) {
  return json_as<T>(object.at(key), key);
}

}  // namespace diffprob::launch
