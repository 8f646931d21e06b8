#include "launch/config/paths.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace diffprob::launch {
namespace {

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool is_name_character(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (!first && c >= '0' && c <= '9');
}

/// Number of characters from `from` on that can be the name of a variable.
std::size_t name_length(const std::string& text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && is_name_character(text[end], end == from)) ++end;
  return end - from;
}

std::string variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0')
    throw std::invalid_argument("expected variables that are set in the environment, but " + name +
                                " is not (write $$ for a dollar sign)");
  return value;
}

/// Replaces the variable that starts with the dollar sign at `at`; moves `at` behind it.
std::string expand_dollar(const std::string& text, std::size_t& at) {
  ++at;
  const bool braces = at < text.size() && text[at] == '{';
  const std::size_t start = at + (braces ? 1 : 0);
  const std::size_t length = name_length(text, start);
  const std::size_t end = start + length;
  if (braces && (length == 0 || end >= text.size() || text[end] != '}'))
    throw std::invalid_argument(
        "expected the name of a variable in braces, as in ${HOME} (write $$ for a dollar sign)");
  if (length == 0) {  // "$$", or a dollar sign that starts no name
    if (at < text.size() && text[at] == '$') ++at;
    return "$";
  }
  at = end + (braces ? 1 : 0);
  return variable(text.substr(start, length));
}

}  // namespace

std::string expand_path(const std::string& text) {
  std::string path;
  std::size_t at = 0;
  if (text.starts_with('~')) {
    if (text.size() > 1 && text[1] != '/')
      throw std::invalid_argument(
          "expected ~/ for your own home folder, or the full path (the folders of other users are "
          "not looked up; write ./~ for a folder whose name starts with a tilde)");
    path = variable("HOME");
    at = 1;
  }
  while (at < text.size()) {
    if (text[at] == '$')
      path += expand_dollar(text, at);
    else
      path += text[at++];
  }
  return path;
}

std::string unexpanded_path(const std::string& path) {
  std::string text = path.starts_with('~') ? "./" : "";
  for (const char c : path) text += c == '$' ? "$$" : std::string(1, c);
  return text;
}

bool has_control_characters(const std::string& text) {
  return std::any_of(text.begin(), text.end(), is_control);
}

std::string printable(const std::string& text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_control(c))
      shown += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    else
      shown += c;
  }
  return shown;
}

}  // namespace diffprob::launch
