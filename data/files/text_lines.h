#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::data {

/// Returns the text without a UTF-8 byte-order mark in front. Throws DataError "PATH: ..." on
/// UTF-16 or UTF-32, with or without a mark: every text file we read is UTF-8.
[[nodiscard]] std::string_view text_body(std::string_view text, const std::string& path);

/// Lines of a text file, one in memory at a time. Blanks and a carriage return around a line are
/// removed, empty lines are skipped, and so is what text_body() removes. Throws DataError.
class TextLines {
 public:
  explicit TextLines(const std::string& path);
  /// False at the end.
  bool next();
  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] std::int64_t number() const noexcept { return number_; }  ///< from 1
  /// "PATH: line N: expected EXPECTED, found 'FOUND'".
  [[noreturn]] void fail(const std::string& expected, std::string_view found) const;
  /// "PATH: line N: WHAT".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string path_;
  std::ifstream in_;
  std::string line_;
  std::string_view text_;
  std::int64_t number_ = 0;
};

/// Returns the text without blanks, tabs and line ends around it.
[[nodiscard]] std::string_view trim(std::string_view text);
/// Parses the whole of `text` as a number; returns false when it is anything else. A plus sign in
/// front is accepted; nan and inf are numbers; reals too small for the type become 0.
[[nodiscard]] bool parse_number(std::string_view text, double& value);
[[nodiscard]] bool parse_number(std::string_view text, float& value);
[[nodiscard]] bool parse_number(std::string_view text, std::int64_t& value);
/// Splits into the fields between separators, trimmed. Separator ' ' stands for any run of blanks
/// or tabs.
void split(std::string_view text, char separator, std::vector<std::string_view>& fields);
/// Parses lines "key=value" into a map. A line without '=' is a key whose value is empty.
[[nodiscard]] std::map<std::string, std::string> parse_key_values(std::string_view text);
/// Returns at most `limit` characters for a message; those that cannot be printed become '?'.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 24);

}  // namespace diffprob::data
