#include "prune/lists/kept_index_text.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "prune/error.h"
#include "prune/lists/index_set.h"
#include "prune/lists/kept_index_writer.h"

namespace diffprob::prune {
namespace {

class Parser {
 public:
  Parser(const std::string& where, std::string_view text, std::int64_t lowest, std::int64_t highest)
      : where_(where), text_(text), lowest_(lowest), highest_(highest) {}

  NumberList parse() {
    NumberList list;
    list.name = name();
    const bool brackets = take('[');
    if (list.name != ListName::kNone && !brackets) fail("'['");
    if (!at_end_of_list(brackets)) {
      do {
        list.numbers.push_back(number());
      } while (take(',') &&
               !at_end_of_list(brackets));  // Python writes lists with a last comma, too
    }
    if (brackets && !take(']')) fail("',' or ']'");
    if (skip_blanks(), at_ < text_.size()) fail("the end of the file");
    return list;
  }

 private:
  ListName name() {
    constexpr std::string_view kKept = "kept_index";
    constexpr std::string_view kDropped = "dropped_index";
    skip_blanks();
    const std::string_view rest = text_.substr(at_);
    const ListName found = rest.starts_with(kKept)      ? ListName::kKeptIndex
                           : rest.starts_with(kDropped) ? ListName::kDroppedIndex
                                                        : ListName::kNone;
    if (found == ListName::kNone) return found;
    at_ += found == ListName::kKeptIndex ? kKept.size() : kDropped.size();
    if (!take('=')) fail("'='");
    return found;
  }
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
    if (value < lowest_ || value > highest_)
      fail("an index of " + std::to_string(lowest_) + " to " + std::to_string(highest_));
    at_ = static_cast<std::size_t>(result.ptr - text_.data());
    return value;
  }
  [[noreturn]] void fail(const std::string& expected) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    constexpr std::size_t kShown = 24;
    std::string found(text_.substr(at_, kShown));
    std::replace_if(
        found.begin(), found.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    throw PruneError(where_ + ": line " + std::to_string(line) + ": expected " + expected +
                     ", found " + (found.empty() ? "the end of the file" : "'" + found + "'"));
  }

  const std::string& where_;
  std::string_view text_;
  std::int64_t lowest_;
  std::int64_t highest_;
  std::size_t at_ = 0;
};

}  // namespace

NumberList parse_number_list(const std::string& where, std::string_view text, std::int64_t lowest,
                             std::int64_t highest) {
  return Parser(where, text, lowest, highest).parse();
}

void sort_indices(const std::string& where, std::vector<std::int64_t>& indices) {
  if (!std::is_sorted(indices.begin(), indices.end())) std::sort(indices.begin(), indices.end());
  const auto twice = std::adjacent_find(indices.begin(), indices.end());
  if (twice != indices.end())
    throw PruneError(where + ": sample index " + std::to_string(*twice) + " is listed twice");
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
