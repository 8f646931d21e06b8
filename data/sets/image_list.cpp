#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/sets/class_count.h"
#include "data/sets/image_files.h"
#include "data/sets/image_folder.h"
#include "data/sets/list_line.h"

namespace diffprob::data {
namespace {

struct Item {
  std::int64_t order;
  std::uint32_t label;
  std::string name;
};

class ListReader {
 public:
  ListReader(const std::string& path, const std::string& root)
      : path_(path), root_(root), lines_(path) {}

  std::vector<Item> read(const OnImageSetProblem& on_problem) {
    std::vector<Item> items;
    while (lines_.next()) {
      try {
        items.push_back(item_of(lines_.text()));
      } catch (const DataError& error) {
        on_problem({-1, path_ + " line " + std::to_string(lines_.number()) + ": " + error.what()});
      }
    }
    number_names(items);
    return items;
  }

  bool is_im2rec() const noexcept { return kind_ == ImageListKind::kIm2rec; }

 private:
  Item item_of(std::string_view text) {
    const auto line = parse_list_line(text);
    if (kind_.has_value() && line.kind != *kind_)
      throw DataError(
          "not the same kind of list as the lines before (its fields stand in another order)");
    if (!kind_.has_value()) names_ = !is_number(line.label);
    const auto label = names_ ? name_number(line.label) : label_of(line.label);
    kind_ = line.kind;
    return {line.kind == ImageListKind::kIm2rec ? line.index : lines_.number(), label,
            file_name(line.path)};
  }

  static std::uint32_t label_of(std::string_view text) {
    double value = -1;
    std::uint32_t label = 0;
    if (!parse_number(text, value) || !whole_label(value, label))
      throw DataError("label " + std::string(text.substr(0, 40)) +
                      " is not a whole number from 0 to 2147483647");
    return label;
  }

  /// Number of a label that is a name, in the order of their appearance.
  std::uint32_t name_number(std::string_view name) {
    if (name.empty()) throw DataError("an empty label");
    return numbers_.try_emplace(std::string(name), static_cast<std::uint32_t>(numbers_.size()))
        .first->second;
  }

  /// Names are classes in sorted order, as those of sub-folders are.
  void number_names(std::vector<Item>& items) const {
    if (!names_) return;
    std::vector<std::uint32_t> sorted(numbers_.size());
    std::uint32_t next = 0;
    for (const auto& [name, number] : numbers_) sorted[number] = next++;
    for (auto& item : items) item.label = sorted[item.label];
  }

  /// Windows writes back-slashes between folders. A file that has them in its name keeps them.
  std::string file_name(std::string_view path) const {
    std::string name(path);
    std::error_code error;
    if (name.find('\\') != std::string::npos &&
        !std::filesystem::exists(std::filesystem::path(root_) / name, error))
      std::ranges::replace(name, '\\', '/');
    return name;
  }

  std::string path_;
  std::string root_;
  TextLines lines_;
  std::optional<ImageListKind> kind_;
  bool names_ = false;
  std::map<std::string, std::uint32_t> numbers_;
};

/// Folder in which the paths of a list are looked up.
std::string root_of(const std::string& lst_path, const std::string& root) {
  if (!root.empty()) return root;
  const auto folder = std::filesystem::path(lst_path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace

bool is_image_list(const std::string& path) {
  const auto ending = std::filesystem::path(path).extension();
  return ending == ".lst" || ending == ".txt" || ending == ".list";
}

std::shared_ptr<const ImageFiles> scan_image_list(const std::string& lst_path,
                                                  const std::string& given_root,
                                                  const OnImageSetProblem& on_problem) {
  const auto root = root_of(lst_path, given_root);
  ListReader reader(lst_path, root);
  auto items = reader.read(on_problem);
  if (items.empty()) throw DataError(lst_path + ": lists no images");
  // By index, as the keys of the .rec that im2rec makes of the list: an index set then fits both.
  std::ranges::stable_sort(items, {}, &Item::order);
  for (std::size_t i = 1; i < items.size(); ++i)
    if (items[i].order == items[i - 1].order)
      on_problem({-1, lst_path + ": index " + std::to_string(items[i].order) + " appears twice (" +
                          items[i - 1].name + ", " + items[i].name + ")"});
  auto files = std::make_shared<ImageFiles>(
      root, "list of images",
      " (images of a list are looked up in the folder of the list, or in --data.root=FOLDER)");
  for (const auto& item : items) files->add(item.name, item.label);
  files->finish();
  return files;
}

std::shared_ptr<const Dataset> open_image_list(const std::string& lst_path,
                                               const std::string& root) {
  return scan_image_list(lst_path, root,
                         [](const ImageSetProblem& problem) { throw DataError(problem.message); });
}

}  // namespace diffprob::data
