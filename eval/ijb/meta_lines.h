#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/input_file.h"
#include "data/files/text_lines.h"

namespace diffprob::eval {

/// Lines of a text file of a protocol, split into fields, one in memory at a time. Empty lines are
/// skipped, a carriage return at the end is taken away. Parts: part p of P has the lines whose
/// first byte lies in [size * p / P, size * (p + 1) / P), so that the parts together have every
/// line once. Throws data::DataError that names file and line.
class MetaLines {
 public:
  static constexpr std::size_t kLongestLine = 64 * 1024;  ///< bytes

  /// separator ' ': any run of blanks and tabs; else fields stand between separators, blanks around
  /// them taken away.
  explicit MetaLines(const std::string& path, char separator = ' ', std::int64_t part = 0,
                     std::int64_t parts = 1);

  /// False at the end.
  bool next();
  [[nodiscard]] const std::vector<std::string_view>& fields() const noexcept { return fields_; }
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }
  /// Of the line that next() found, from 1. Reads the file up to the line when this is not the
  /// first part.
  [[nodiscard]] std::int64_t line_number() const;

  /// Unless the line has `count` fields: an error with `form`, which says what a line looks like.
  void need_fields(std::size_t count, const char* form) const;
  /// Whole of a field as a number; `what` names it in the error. real() refuses nan and inf.
  [[nodiscard]] std::int64_t integer(std::size_t field, const char* what) const;
  [[nodiscard]] double real(std::size_t field, const char* what) const;
  [[noreturn]] void fail(const std::string& what) const;

 private:
  bool read_line();
  void fill();
  [[nodiscard]] std::int64_t begin_of_line() const {
    return buffer_offset_ + static_cast<std::int64_t>(line_begin_);
  }

  data::InputFile file_;
  char separator_;
  std::int64_t end_;                ///< lines that begin here or later belong to the next part
  std::int64_t buffer_offset_ = 0;  ///< of buffer_[0] in the file
  std::string buffer_;
  std::size_t line_begin_ = 0;  ///< in buffer_
  std::size_t next_line_ = 0;   ///< in buffer_
  bool first_part_;
  std::int64_t lines_ = 0;  ///< of this part
  std::vector<std::string_view> fields_;
};

/// Returns at most 40 printable characters of a field for a message.
[[nodiscard]] inline std::string printable(std::string_view text) {
  return data::printable(text, 40);
}

}  // namespace diffprob::eval
