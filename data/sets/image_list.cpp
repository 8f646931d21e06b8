#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "data/error.h"
#include "data/files/stand_in.h"
#include "data/sets/class_count.h"
#include "data/sets/image_files.h"
#include "data/sets/image_folder.h"

namespace diffprob::data {
namespace {

enum class ImageListKind { kIm2rec, kInsightFace };

std::vector<std::string_view> split_at_tabs(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const auto tab = line.find('\t');
    fields.push_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return fields;
    line.remove_prefix(tab + 1);
  }
}

std::optional<double> number_of(std::string_view text) {
  double value = 0.0;
  const auto* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && after == end ? std::optional(value) : std::nullopt;
}

struct Item {
  std::int64_t order;
  std::uint32_t label;
  std::string name;
};

class ListReader {
 public:
  explicit ListReader(const std::string& path) : path_(path) {}

  std::vector<Item> read(const OnImageSetProblem& on_problem) {
    std::ifstream file(path_);
    if (!file) throw DataError(path_ + ": cannot be opened");
    refuse_stand_in(path_);
    std::vector<Item> items;
    std::string line;
    for (line_ = 1; std::getline(file, line); ++line_) {
      std::string_view text(line);
      if (text.ends_with('\r')) text.remove_suffix(1);
      if (text.empty()) continue;
      try {
        items.push_back(parse(split_at_tabs(text)));
      } catch (const DataError& error) {
        on_problem({-1, error.what()});
      }
    }
    if (file.bad()) throw DataError(path_ + ": read failed");
    return items;
  }

  bool is_im2rec() const noexcept { return kind_ == ImageListKind::kIm2rec; }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw DataError(path_ + " line " + std::to_string(line_) + ": " + message);
  }

  /// The path tells: it is the second field or the last, and it is the one that is not a number.
  ImageListKind recognise(const std::vector<std::string_view>& fields) const {
    if (fields.size() < 3)
      fail("expected index<TAB>label<TAB>path or aligned<TAB>path<TAB>label, found " +
           std::to_string(fields.size()) + " fields");
    const bool second = number_of(fields[1]).has_value();
    const bool last = number_of(fields.back()).has_value();
    if (second == last)
      fail(
          "neither index<TAB>label<TAB>path nor aligned<TAB>path<TAB>label (which field is the "
          "path?)");
    return second ? ImageListKind::kIm2rec : ImageListKind::kInsightFace;
  }

  std::uint32_t label_of(std::string_view text) const {
    const auto value = number_of(text);
    std::uint32_t label = 0;
    if (!value.has_value() || !whole_label(*value, label))
      fail("label " + std::string(text.substr(0, 40)) +
           " is not a whole number from 0 to 2147483647");
    return label;
  }

  Item parse(const std::vector<std::string_view>& fields) {
    const auto kind = recognise(fields);
    if (kind_.has_value() && kind != *kind_)
      fail(
          "not the same kind of list as the lines before (im2rec and InsightFace lines are mixed)");
    kind_ = kind;
    return kind == ImageListKind::kIm2rec ? parse_im2rec(fields) : parse_insightface(fields);
  }

  Item parse_im2rec(const std::vector<std::string_view>& fields) const {
    const auto index = number_of(fields[0]);
    if (!index.has_value() || !(*index >= 0 && *index <= 0x1p53) ||
        *index != static_cast<double>(static_cast<std::int64_t>(*index)))
      fail("index " + std::string(fields[0].substr(0, 40)) + " is not a whole number");
    for (std::size_t i = 1; i + 1 < fields.size(); ++i)
      if (!number_of(fields[i]).has_value())
        fail("label " + std::string(fields[i].substr(0, 40)) + " is not a number");
    if (fields.back().empty()) fail("an empty path");
    return {static_cast<std::int64_t>(*index), label_of(fields[1]), std::string(fields.back())};
  }

  Item parse_insightface(const std::vector<std::string_view>& fields) const {
    if (fields[0] != "0" && fields[0] != "1")
      fail("aligned must be 0 or 1, found " + std::string(fields[0].substr(0, 40)));
    if (fields[0] == "0")
      fail(
          "a face that is not aligned (first field 0): only lists of aligned faces are supported, "
          "align the images first");
    if (fields[1].empty()) fail("an empty path");
    return {line_, label_of(fields[2]), std::string(fields[1])};
  }

  std::string path_;
  std::int64_t line_ = 0;
  std::optional<ImageListKind> kind_;
};

}  // namespace

std::shared_ptr<const ImageFiles> scan_image_list(const std::string& lst_path,
                                                  const OnImageSetProblem& on_problem) {
  ListReader reader(lst_path);
  auto items = reader.read(on_problem);
  if (items.empty()) throw DataError(lst_path + ": lists no images");
  // By index, as the keys of the .rec that im2rec makes of the list: an index set then fits both.
  std::ranges::stable_sort(items, {}, &Item::order);
  for (std::size_t i = 1; i < items.size(); ++i)
    if (items[i].order == items[i - 1].order)
      on_problem({-1, lst_path + ": index " + std::to_string(items[i].order) + " appears twice (" +
                          items[i - 1].name + ", " + items[i].name + ")"});
  const auto folder = std::filesystem::path(lst_path).parent_path();
  auto files =
      std::make_shared<ImageFiles>(folder.empty() ? "." : folder.string(), "list of images");
  for (const auto& item : items) files->add(item.name, item.label);
  files->finish();
  return files;
}

std::shared_ptr<const Dataset> open_image_list(const std::string& lst_path) {
  return scan_image_list(lst_path,
                         [](const ImageSetProblem& problem) { throw DataError(problem.message); });
}

}  // namespace diffprob::data
