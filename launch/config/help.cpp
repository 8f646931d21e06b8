#include "launch/config/help.h"

#include <algorithm>

#include "launch/config/config_error.h"
#include "launch/config/fields.h"
#include "launch/config/suggest.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kWidth = 112;

std::string section_of(const Field& field) {
  return field.key.substr(0, field.key.find('.'));
}

/// Breaks a text into indented lines, between words.
std::string paragraph(const std::string& text, std::size_t indent) {
  std::string out(indent, ' ');
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (column > indent && column + 1 + end - at > kWidth) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += text.substr(at, end - at);
    column += end - at;
    at = end + 1;
  }
  return out + "\n";
}

std::string key_help(const Field& field) {
  return "  " + field.key + "\n" +
         paragraph("default " + value_text(field) + "; " + range_text(field), 6) +
         paragraph(field.help, 6);
}

}  // namespace

std::vector<std::string> config_sections() {
  Config config;
  std::vector<std::string> names;
  for (const auto& field : config_fields(config)) {
    if (names.empty() || names.back() != section_of(field)) names.push_back(section_of(field));
  }
  return names;
}

std::string config_help(const std::string& section_or_key) {
  Config config;
  std::string text;
  std::vector<std::string> known = config_sections();
  for (const auto& field : config_fields(config)) {
    if (section_of(field) == section_or_key || field.key == section_or_key) text += key_help(field);
    known.push_back(field.key);
  }
  if (!text.empty()) return text;
  std::string sections;
  for (const auto& name : config_sections()) sections += " " + name;
  throw ConfigError({"config --help " + section_or_key + ": no such section or key" +
                     suggestion(section_or_key, known) + "; there are:" + sections});
}

}  // namespace diffprob::launch
