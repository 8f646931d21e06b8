#include "launch/config/values.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <sstream>
#include <stdexcept>

#include "launch/config/paths.h"
#include "launch/config/suggest.h"

namespace diffprob::launch {
namespace {

template <class T>
std::optional<T> parse_number(const std::string& text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Says that the decimals of a number are set off by a point, where a comma stands.
std::string comma_hint(std::string text) {
  if (text.find(',') == std::string::npos) return {};
  std::ranges::replace(text, ',', '.');
  return parse_number<double>(text) ? " with a point, as in " + text : "";
}

Complaint set_scalar(const Field& field, std::string* target, const std::string& text) {
  if (!field.choices.empty() &&
      std::find(field.choices.begin(), field.choices.end(), text) == field.choices.end()) {
    const std::string wanted = "expected " + expected_text<std::string>(field);
    const std::string near = suggestion(text, field.choices);
    return near.empty() ? wanted : wanted + " (" + near.substr(2) + ")";
  }
  if (has_control_characters(text)) return "expected text on one line, without control characters";
  if (YAML::Load(quoted_text(text)).Scalar() != text) return "expected text in UTF-8";
  try {
    *target = field.is_path ? expand_path(text) : text;
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return std::nullopt;
}

Complaint set_scalar(const Field& field, const EnumTarget& target, const std::string& text) {
  std::string word;
  if (auto complaint = set_scalar(field, &word, text)) return complaint;
  target.set(word);
  return std::nullopt;
}

Complaint set_scalar(const Field& field, std::int64_t* target, const std::string& text) {
  const auto value = parse_number<std::int64_t>(text);
  if (!value || static_cast<double>(*value) < field.low ||
      static_cast<double>(*value) > field.high) {
    return "expected " + expected_text<std::int64_t>(field);
  }
  *target = *value;
  return std::nullopt;
}

Complaint set_scalar(const Field& field, int* target, const std::string& text) {
  std::int64_t value = 0;
  if (auto complaint = set_scalar(field, &value, text)) return complaint;
  *target = static_cast<int>(value);
  return std::nullopt;
}

Complaint set_scalar(const Field& field, double* target, const std::string& text) {
  const auto value = parse_number<double>(text);
  if (!value || !(*value >= field.low && *value <= field.high))
    return "expected " + expected_text<double>(field) + comma_hint(text);
  *target = *value;
  return std::nullopt;
}

Complaint set_scalar(const Field& field, bool* target, const std::string& text) {
  if (text != "true" && text != "false") return "expected " + expected_text<bool>(field);
  *target = text == "true";
  return std::nullopt;
}

template <class T>
Complaint set_list(const Field& field, std::vector<T>* target,
                   const std::vector<std::string>& items) {
  std::vector<T> values;
  for (const auto& item : items) {
    T value{};
    if (const auto complaint = set_scalar(field, &value, item)) {
      const std::string found = ", not \"" + printable(item) + '"';
      if (field.is_path) return *complaint + found;
      return "expected a list, each item " + complaint->substr(9) + found;
    }
    values.push_back(value);
  }
  *target = values;
  return std::nullopt;
}

Complaint set_list(const Field& field, const EnumListTarget& target,
                   const std::vector<std::string>& items) {
  std::vector<std::string> words;
  if (auto complaint = set_list(field, &words, items)) return complaint;
  target.set(words);
  return std::nullopt;
}

std::string without_blanks_around(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Items of "a,b,c". Only names of files may begin or end with a blank.
std::vector<std::string> split(const std::string& text, bool are_paths) {
  std::vector<std::string> items;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    if (!are_paths) item = without_blanks_around(item);
    if (!item.empty()) items.push_back(item);
  }
  return items;
}

Complaint set_list_from(const Field& field, const auto& target, const GivenValue& given) {
  if (given.kind == GivenValue::Kind::kSection || given.kind == GivenValue::Kind::kOther)
    return "expected a list of single values";
  if (given.kind == GivenValue::Kind::kList) return set_list(field, target, given.items);
  const bool brackets =
      given.text.size() > 1 && given.text.starts_with('[') && given.text.ends_with(']');
  if (brackets && field.is_path && given.text != "[]")  // may be the name of a file
    return "expected the items with commas between them and without brackets";
  if (brackets) {
    const std::string inside = given.text.substr(1, given.text.size() - 2);
    return set_list(field, target, split(inside, field.is_path));
  }
  return set_list(field, target, split(given.text, field.is_path));
}

}  // namespace

GivenValue given_in_yaml(const YAML::Node& node) {
  using Kind = GivenValue::Kind;
  if (node.IsScalar()) return {Kind::kText, node.Scalar(), {}};
  if (node.IsMap()) return {Kind::kSection, {}, {}};
  if (!node.IsSequence()) return {Kind::kNothing, {}, {}};
  GivenValue list{Kind::kList, {}, {}};
  for (const auto& item : node) {
    if (item.IsScalar())
      list.items.push_back(item.Scalar());
    else
      list.kind = Kind::kOther;
  }
  return list;
}

std::string shown(const GivenValue& given) {
  switch (given.kind) {
    case GivenValue::Kind::kText:
      return '"' + printable(given.text) + '"';
    case GivenValue::Kind::kNothing:
      return "nothing";
    case GivenValue::Kind::kList:
      return "a list";
    case GivenValue::Kind::kSection:
      return "a section";
    case GivenValue::Kind::kOther:
      return "a list that holds lists, sections or nothing";
  }
  return {};
}

Complaint set_field(const Field& field, const GivenValue& given) {
  return std::visit(
      [&](const auto& target) -> Complaint {
        using T = Value<decltype(target)>;
        if constexpr (kIsList<T>) {
          return set_list_from(field, target, given);
        } else {
          if (given.kind == GivenValue::Kind::kNothing && std::is_same_v<T, std::string>)
            return set_scalar(field, target, std::string());
          if (given.kind != GivenValue::Kind::kText) return "expected one value";
          return set_scalar(field, target, given.text);
        }
      },
      field.target);
}

}  // namespace diffprob::launch
