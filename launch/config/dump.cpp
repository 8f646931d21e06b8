#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "launch/config/paths.h"
#include "launch/config/values.h"

namespace diffprob::launch {

std::string format_number(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(std::begin(text), std::end(text), value);
  return {text, end};
}

std::string in_range(const Field& field) {
  return "in [" + format_number(field.low) + ", " + format_number(field.high) + "]";
}

std::string quoted_text(const std::string& text) {
  YAML::Emitter out;
  out << YAML::DoubleQuoted << text;
  return out.c_str();
}

namespace {

/// A value as YAML.
std::string yaml_text(const std::string& text) {
  return quoted_text(text);
}
std::string yaml_text(bool value) {
  return value ? "true" : "false";
}
std::string yaml_text(double value) {
  return format_number(value);
}
std::string yaml_text(int value) {
  return std::to_string(value);
}
std::string yaml_text(std::int64_t value) {
  return std::to_string(value);
}
template <class T>
std::string yaml_text(const std::vector<T>& items) {
  std::string list = "[";
  for (const auto& item : items) list += (list.size() > 1 ? ", " : "") + yaml_text(item);
  return list + "]";
}

/// The value that a target leads to.
std::string current(const EnumTarget& target) {
  return target.word();
}
std::vector<std::string> current(const EnumListTarget& target) {
  return target.words();
}
template <class T>
const T& current(T* target) {
  return *target;
}

/// The value as a configuration file has to hold it: dollar signs of paths are doubled.
std::string file_text(const Field& field) {
  if (field.is_path) {
    if (const auto* path = std::get_if<std::string*>(&field.target))
      return yaml_text(unexpanded_path(**path));
    std::vector<std::string> items;
    for (const auto& path : *std::get<std::vector<std::string>*>(field.target))
      items.push_back(unexpanded_path(path));
    return yaml_text(items);
  }
  return value_text(field);
}

}  // namespace

std::string value_text(const Field& field) {
  // The words true and false of a key that was a flag once look as they did then.
  if (const auto* named = std::get_if<EnumTarget>(&field.target)) {
    const std::string word = named->word();
    if (word == "true" || word == "false") return word;
  }
  return std::visit([](const auto& target) { return yaml_text(current(target)); }, field.target);
}

std::string range_text(const Field& field) {
  return std::visit(
      [&](const auto& target) -> std::string {
        using T = Value<decltype(target)>;
        if constexpr (kIsList<T>)
          return "a list, each item " + expected_text<typename T::value_type>(field);
        else
          return expected_text<T>(field);
      },
      field.target);
}

std::string dump_config(const Config& config, DumpStyle style) {
  Config copy = config;
  std::string section;
  std::string out;
  for (const auto& field : config_fields(copy)) {
    const auto dot = field.key.find('.');
    const std::string own = dot == std::string::npos ? "" : field.key.substr(0, dot);
    if (own != section) out += (style == DumpStyle::kWithHelp ? "\n" : "") + own + ":\n";
    section = own;
    std::string line = (own.empty() ? "" : "  ") +
                       field.key.substr(dot == std::string::npos ? 0 : dot + 1) + ": " +
                       file_text(field);
    if (style == DumpStyle::kWithHelp) {
      line.resize(std::max<std::size_t>(line.size(), 34), ' ');
      line += "  # " + field.help;
      for (std::size_t i = 0; i < field.choices.size(); ++i)
        line += (i == 0 ? " (" : ", ") + field.choices[i];
      if (!field.choices.empty()) line += ")";
    }
    out += line + "\n";
  }
  return out;
}

std::string dump_sections(const Config& config, const std::vector<std::string>& sections) {
  Config copy = config;
  std::string out;
  for (const auto& field : config_fields(copy)) {
    const std::string section = field.key.substr(0, field.key.find('.'));
    const bool wanted = std::any_of(sections.begin(), sections.end(),
                                    [&](const auto& s) { return s == section || s == field.key; });
    if (wanted) out += field.key + "=" + value_text(field) + "\n";
  }
  return out;
}

}  // namespace diffprob::launch
