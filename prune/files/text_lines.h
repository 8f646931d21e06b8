#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::prune {

/// Lines of a text file, one in memory at a time. A carriage return at the end and blanks around a
/// line are taken away, empty lines are skipped, and in front of the first line a byte order mark.
/// Throws PruneError.
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

[[nodiscard]] std::string_view without_blanks(std::string_view text);
/// The whole of `text` as a number; false when it is anything else. A plus sign in front is
/// accepted; nan and inf are numbers.
[[nodiscard]] bool parse_number(std::string_view text, double& value);
[[nodiscard]] bool parse_number(std::string_view text, float& value);
[[nodiscard]] bool parse_number(std::string_view text, std::int64_t& value);
/// What stands between separators, blanks around it taken away. ' ': any run of blanks or tabs.
void split(std::string_view text, char separator, std::vector<std::string_view>& fields);
/// At most 24 characters, printable, for messages.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace diffprob::prune
