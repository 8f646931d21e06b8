#include "prune/files/npy_header.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

/// Python literals, as far as numpy's header needs them.
class HeaderParser {
 public:
  HeaderParser(const std::string& where, std::string_view text) : where_(where), text_(text) {}

  NpyHeader parse() {
    need('{');
    while (!take('}')) {
      entry();
      if (!take(',')) {
        need('}');
        break;
      }
    }
    if (skip_blanks(), at_ < text_.size()) fail("nothing after '}'");
    if (!descr_ || !fortran_ || !shape_) fail("the keys 'descr', 'fortran_order' and 'shape'");
    return {*descr_, *fortran_, *shape_};
  }

 private:
  void entry() {
    const std::string key = quoted();
    need(':');
    if (key == "descr" && !descr_) {
      if (take('['))
        throw PruneError(
            where_ +
            ": an array of records (several fields), expected one plain number per element");
      descr_ = quoted();
    } else if (key == "fortran_order" && !fortran_) {
      fortran_ = boolean();
    } else if (key == "shape" && !shape_) {
      shape_ = tuple();
    } else {
      fail("'descr', 'fortran_order' and 'shape', each once");
    }
  }

  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void need(char wanted) {
    if (!take(wanted)) fail(std::string("'") + wanted + "'");
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const auto end =
        quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string_view::npos;
    if (end == std::string_view::npos) fail("a quoted string");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    if (take_word("False")) return false;
    if (take_word("True")) return true;
    fail("True or False");
  }
  std::vector<std::int64_t> tuple() {
    std::vector<std::int64_t> numbers;
    need('(');
    while (!take(')')) {
      numbers.push_back(number());
      if (!take(',')) {
        need(')');
        break;
      }
    }
    return numbers;
  }
  std::int64_t number() {
    skip_blanks();
    std::int64_t value = 0;
    const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (result.ec != std::errc() || value < 0) fail("a length (a whole number, 0 or more)");
    at_ = static_cast<std::size_t>(result.ptr - text_.data());
    take('L');  // Python 2 wrote long integers so
    return value;
  }

  [[noreturn]] void fail(const std::string& expected) const {
    constexpr std::size_t kShown = 24;
    std::string found(text_.substr(std::min(at_, text_.size()), kShown));
    std::replace_if(
        found.begin(), found.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    throw PruneError(where_ + ": .npy header: expected " + expected + ", found " +
                     (found.empty() ? "its end" : "'" + found + "'"));
  }

  const std::string& where_;
  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<std::string> descr_;
  std::optional<bool> fortran_;
  std::optional<std::vector<std::int64_t>> shape_;
};

}  // namespace

NpyHeader parse_npy_header(const std::string& where, std::string_view text) {
  return HeaderParser(where, text).parse();
}

std::string npy_header_text(const NpyHeader& header) {
  std::string text = "{'descr': '" + header.descr +
                     "', 'fortran_order': " + (header.fortran_order ? "True" : "False") +
                     ", 'shape': (";
  for (const std::int64_t length : header.shape) text += std::to_string(length) + ", ";
  if (header.shape.size() == 1) text.pop_back();             // (3,)
  if (header.shape.size() > 1) text.erase(text.size() - 2);  // (3, 4)
  return text + "), }";
}

}  // namespace diffprob::prune
