#include "prune/kept_index_text.h"

#include <algorithm>
#include <charconv>

#include "prune/error.h"
#include "prune/index_set.h"
#include "prune/kept_index_writer.h"

namespace diffprob::prune {
namespace {

class Parser {
 public:
  Parser(const std::string& where, std::string_view text, std::int64_t num_samples)
      : where_(where), text_(text), num_samples_(num_samples) {}

  std::vector<std::int64_t> parse() {
    constexpr std::string_view kName = "kept_index";
    if (skip_blanks(), text_.substr(at_).starts_with(kName)) {
      at_ += kName.size();
      if (!take('=')) fail("'='");
    }
    const bool brackets = take('[');
    std::vector<std::int64_t> indices;
    if (!at_end_of_list(brackets)) {
      do {
        indices.push_back(number());
      } while (take(',') && !at_end_of_list(brackets));  // Python writes lists with a last comma, too
    }
    if (brackets && !take(']')) fail("',' or ']'");
    if (skip_blanks(), at_ < text_.size()) fail("the end of the file");
    return indices;
  }

 private:
  void skip_blanks() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    }
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  bool at_end_of_list(bool brackets) {
    skip_blanks();
    return brackets ? at_ < text_.size() && text_[at_] == ']' : at_ >= text_.size();
  }
  std::int64_t number() {
    skip_blanks();
    std::int64_t value = 0;
    const auto result = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (result.ec != std::errc() || value < 0) fail("a sample index (a whole number, 0 or more)");
    if (num_samples_ > 0 && value >= num_samples_) fail("an index of 0 to " + std::to_string(num_samples_ - 1));
    at_ = static_cast<std::size_t>(result.ptr - text_.data());
    return value;
  }
  [[noreturn]] void fail(const std::string& expected) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    constexpr std::size_t kShown = 24;
    std::string found(text_.substr(at_, kShown));
    std::replace_if(
        found.begin(), found.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    throw PruneError(where_ + ": line " + std::to_string(line) + ": expected " + expected + ", found " +
                     (found.empty() ? "the end of the file" : "'" + found + "'"));
  }

  const std::string& where_;
  std::string_view text_;
  std::int64_t num_samples_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::int64_t> parse_kept_index(const std::string& where, std::string_view text, std::int64_t num_samples) {
  auto indices = Parser(where, text, num_samples).parse();
  std::sort(indices.begin(), indices.end());
  const auto twice = std::adjacent_find(indices.begin(), indices.end());
  if (twice != indices.end()) throw PruneError(where + ": sample index " + std::to_string(*twice) + " is listed twice");
  return indices;
}

void write_kept_index_text(const std::string& path, const IndexSet& set) {
  KeptIndexTextWriter writer(path);
  writer.append(set.kept);
  writer.finish();
}

void write_label_map_text(const std::string& path, const IndexSet& set) {
  write_label_map_text(path, set.label_map);
}

}  // namespace diffprob::prune
