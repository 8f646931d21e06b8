#include "data/pickle/text_forms.h"

#include <charconv>
#include <cstdint>

namespace diffprob::data {
namespace {

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

/// Takes `digits` digits off the text; false when they are not there.
bool take_number(std::string_view& text, std::size_t digits, int base, std::uint32_t& value) {
  if (text.size() < digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, base);
  if (error != std::errc() || end != text.data() + digits) return false;
  text.remove_prefix(digits);
  return true;
}

std::size_t octal_digits(std::string_view text) {
  std::size_t count = 0;
  while (count < 3 && count < text.size() && text[count] >= '0' && text[count] <= '7') ++count;
  return count;
}

/// One escape of a quoted str, the backslash taken off already.
bool take_escape(std::string_view& text, std::string& out) {
  constexpr std::string_view kNames = "\\'\"abfnrtv";
  constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
  if (text.empty()) return false;
  if (const auto octal = octal_digits(text); octal > 0) {
    std::uint32_t value = 0;
    if (!take_number(text, octal, 8, value) || value > 255) return false;
    out += static_cast<char>(value);
    return true;
  }
  const char name = text.front();
  text.remove_prefix(1);
  if (name == 'x') {
    std::uint32_t value = 0;
    if (!take_number(text, 2, 16, value)) return false;
    out += static_cast<char>(value);
    return true;
  }
  const auto found = kNames.find(name);
  if (found == std::string_view::npos) return false;
  out += kValues[found];
  return true;
}

}  // namespace

std::optional<std::string> unquoted_string(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);  // of a file written in text mode
  if (line.size() < 2 || (line.front() != '\'' && line.front() != '"') ||
      line.back() != line.front())
    return std::nullopt;
  line = line.substr(1, line.size() - 2);
  std::string out;
  out.reserve(line.size());
  while (!line.empty()) {
    const char c = line.front();
    line.remove_prefix(1);
    if (c != '\\') {
      out += c;
    } else if (!take_escape(line, out)) {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<std::string> unescaped_unicode(std::string_view line) {
  constexpr std::uint32_t kLargestCode = 0x10ffff;
  std::string out;
  out.reserve(line.size());
  while (!line.empty()) {
    const bool escape = line.size() > 1 && line[0] == '\\' && (line[1] == 'u' || line[1] == 'U');
    if (!escape) {
      append_utf8(out, static_cast<unsigned char>(line.front()));
      line.remove_prefix(1);
      continue;
    }
    const std::size_t digits = line[1] == 'u' ? 4 : 8;
    std::uint32_t code = 0;
    line.remove_prefix(2);
    if (!take_number(line, digits, 16, code) || code > kLargestCode) return std::nullopt;
    append_utf8(out, code);
  }
  return out;
}

}  // namespace diffprob::data
