#include "data/files/text_lines.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "data/error.h"
#include "data/files/stand_in.h"

namespace diffprob::data {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

template <class T>
bool parse_whole(std::string_view text, T& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

/// Numbers too small for T are 0 (from_chars calls both ends out of range).
template <class T>
bool parse_real(std::string_view text, T& value) {
  if (parse_whole(text, value)) return true;
  double wide = 0;
  std::string copy(text);
  if (copy.empty() || copy.find_first_not_of("+-.0123456789eE") != std::string::npos) return false;
  char* end = nullptr;
  wide = std::strtod(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size() || std::abs(wide) >= 1) return false;
  value = static_cast<T>(wide);
  return true;
}

/// Text that begins with a UTF-16 or UTF-32 mark, or with two ASCII characters in UTF-16.
bool is_wide_text(std::string_view text) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) return true;
  if (text.size() < 4) return false;
  const auto is_ascii = [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); };
  const bool little = is_ascii(text[0]) && text[1] == '\0' && text[3] == '\0';
  const bool big = text[0] == '\0' && is_ascii(text[1]) && text[2] == '\0';
  return little || big;
}

}  // namespace

std::string_view text_body(std::string_view text, const std::string& path) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) return text.substr(kByteOrderMark.size());
  if (is_wide_text(text))
    throw DataError(path +
                    ": expected UTF-8 text, found UTF-16 or UTF-32; convert it with `iconv -f "
                    "UTF-16 -t UTF-8 FILE > NEW_FILE`");
  return text;
}

TextLines::TextLines(const std::string& path) : path_(path) {
  std::error_code error;
  const bool regular = std::filesystem::is_regular_file(path, error);
  errno = 0;
  if (regular) in_.open(path, std::ios::binary);
  if (!in_.is_open()) {
    const std::string reason = error      ? error.message()
                               : !regular ? "not a regular file"
                                          : std::strerror(errno);
    throw DataError(path + ": cannot open: " + reason);
  }
  refuse_stand_in(path);
}

bool TextLines::next() {
  while (std::getline(in_, line_)) {
    text_ = ++number_ == 1 ? text_body(line_, path_) : line_;
    text_ = trim(text_);
    if (!text_.empty()) return true;
  }
  if (in_.bad()) throw DataError(path_ + ": cannot be read");
  return false;
}

void TextLines::fail(const std::string& expected, std::string_view found) const {
  fail("expected " + expected + ", found '" + printable(found) + "'");
}

void TextLines::fail(const std::string& what) const {
  throw DataError(path_ + ": line " + std::to_string(number_) + ": " + what);
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool parse_number(std::string_view text, double& value) {
  return parse_real(text, value);
}

bool parse_number(std::string_view text, float& value) {
  return parse_real(text, value);
}

bool parse_number(std::string_view text, std::int64_t& value) {
  return parse_whole(text, value);
}

void split(std::string_view text, char separator, std::vector<std::string_view>& fields) {
  fields.clear();
  if (separator == ' ') {
    for (std::size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;
         at = text.find_first_not_of(kBlanks, at)) {
      const auto end = std::min(text.find_first_of(kBlanks, at), text.size());
      fields.push_back(text.substr(at, end - at));
      at = end;
    }
    return;
  }
  while (true) {
    const auto end = text.find(separator);
    fields.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::map<std::string, std::string> parse_key_values(std::string_view text) {
  std::map<std::string, std::string> values;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto equals = std::min(line.find('='), line.size());
    values[std::string(line.substr(0, equals))] = line.substr(std::min(equals + 1, line.size()));
  }
  return values;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string found(text.substr(0, limit));
  std::replace_if(
      found.begin(), found.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return found;
}

}  // namespace diffprob::data
