#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "launch/config/fields.h"

namespace YAML {
class Node;
}

namespace diffprob::launch {

/// A value as it was given: text of the command line is taken as it is, never as YAML.
struct GivenValue {
  enum class Kind { kText, kNothing, kList, kSection, kOther };
  Kind kind = Kind::kText;
  std::string text;
  std::vector<std::string> items;  ///< of a list
};
[[nodiscard]] GivenValue given_in_yaml(const YAML::Node& node);
/// The value as messages show it.
[[nodiscard]] std::string shown(const GivenValue& given);

/// What a setter expected, when the value does not fit; nothing when it has set the value.
using Complaint = std::optional<std::string>;
/// Sets the value of a field. A list is a list of YAML or "a,b,c".
[[nodiscard]] Complaint set_field(const Field& field, const GivenValue& given);

/// A text as YAML, in double quotes.
[[nodiscard]] std::string quoted_text(const std::string& text);

/// Type of the value that the target of a field leads to; a value of an enumeration is a word.
template <class Target>
struct ValueOf {
  using Type = std::remove_pointer_t<Target>;
};
template <>
struct ValueOf<EnumTarget> {
  using Type = std::string;
};
template <>
struct ValueOf<EnumListTarget> {
  using Type = std::vector<std::string>;
};
template <class Target>
using Value = typename ValueOf<std::remove_cvref_t<Target>>::Type;

template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

/// Shortest text that reads back to the same value.
[[nodiscard]] std::string format_number(double value);

/// "in [LOW, HIGH]"
[[nodiscard]] std::string in_range(const Field& field);

/// Describes the values that a field, or an item of a list, may have.
template <class T>
std::string expected_text(const Field& field) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, int>)
    return "a whole number " + in_range(field);
  if constexpr (std::is_same_v<T, double>) return "a number " + in_range(field);
  if (field.choices.empty()) return "text";
  std::string text = "one of";
  for (const auto& choice : field.choices) text += " " + choice;
  return text;
}

}  // namespace diffprob::launch
