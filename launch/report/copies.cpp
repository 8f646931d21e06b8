#include "launch/report/copies.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "data/files/text_lines.h"
#include "launch/observe/csv_field.h"

namespace diffprob::launch {
namespace {

class CopyLines {
 public:
  explicit CopyLines(const std::string& path) : lines_(path) {
    if (!lines_.next()) lines_.fail("is empty, expected a line with the names of the columns");
    const auto names = csv_fields(lines_.text());
    for (std::size_t i = 0; i < names.size(); ++i) columns_[names[i]] = i;
    is_leaks_ = columns_.contains("test_image");
    for (const char* name : {"by", "similarity", "cosine"}) need(name);
    for (const char* name : is_leaks_ ? kOfLeaks : kOfDuplicates) need(name);
  }

  /// False at the end.
  bool next(std::string& kind, CopyPair& pair) {
    if (!lines_.next()) return false;
    fields_ = csv_fields(lines_.text());
    if (fields_.size() != columns_.size())
      lines_.fail(std::to_string(columns_.size()) + " fields", lines_.text());
    kind = is_leaks_ ? "leak" : field("kind");
    pair.by = field("by");
    pair.likeness = number<double>(field("similarity").empty() ? "cosine" : "similarity");
    pair.index = number<std::int64_t>(is_leaks_ ? "index" : "index_a");
    pair.name = field(is_leaks_ ? "sample" : "sample_a");
    pair.other_index = is_leaks_ ? -1 : number<std::int64_t>("index_b");
    pair.other_name = field(is_leaks_ ? "test_image" : "sample_b");
    return true;
  }

 private:
  static constexpr std::array<const char*, 5> kOfDuplicates = {"kind", "index_a", "sample_a",
                                                               "index_b", "sample_b"};
  static constexpr std::array<const char*, 5> kOfLeaks = {"index", "identity", "sample",
                                                          "test_image", "by"};

  void need(const char* name) const {
    if (!columns_.contains(name)) lines_.fail("a column " + std::string(name), lines_.text());
  }
  [[nodiscard]] const std::string& field(const char* name) const {
    return fields_[columns_.at(name)];
  }
  template <class T>
  [[nodiscard]] T number(const char* name) const {
    T value{};
    if (!data::parse_number(field(name), value))
      lines_.fail("a number as " + std::string(name), field(name));
    return value;
  }

  data::TextLines lines_;
  std::map<std::string, std::size_t> columns_;
  bool is_leaks_ = false;
  std::vector<std::string> fields_;
};

bool less_alike(const CopyPair& a, const CopyPair& b) {
  return std::tie(a.likeness, a.index, a.other_index, a.other_name) <
         std::tie(b.likeness, b.index, b.other_index, b.other_name);
}

}  // namespace

std::map<std::string, CopyPairs> read_copies(const std::string& path, std::size_t shown_of_a_kind) {
  CopyLines lines(path);
  std::map<std::string, CopyPairs> copies;
  std::string kind;
  for (CopyPair pair; lines.next(kind, pair);) {
    CopyPairs& of_kind = copies[kind];
    ++of_kind.count;
    auto& shown = of_kind.shown;
    shown.insert(std::upper_bound(shown.begin(), shown.end(), pair, less_alike), pair);
    if (shown.size() > shown_of_a_kind) shown.pop_back();
  }
  return copies;
}

}  // namespace diffprob::launch
