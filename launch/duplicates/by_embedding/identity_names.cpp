#include "launch/duplicates/by_embedding/identity_names.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/sets/class_count.h"
#include "data/sets/list_line.h"

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

/// A sample of the whole set, which a part of it asks.
struct Origin {
  const data::Dataset* set;
  std::int64_t index;
};

Origin origin_of(const data::Dataset& dataset, std::int64_t index) {
  Origin origin = {&dataset, index};
  while (const auto* part = dynamic_cast<const data::Subset*>(origin.set))
    origin = {&part->parent(), part->parent_index(origin.index)};
  return origin;
}

std::string last_folder(std::string_view path) {
  return fs::path(path).parent_path().filename().string();
}

bool says_something(const std::string& name) {
  return name != "." && name != ".." &&
         std::ranges::any_of(name, [](char c) { return c < '0' || c > '9'; });
}

std::int64_t label_of(std::string_view text) {
  double number = 0;
  std::uint32_t label = 0;
  if (!data::parse_number(text, number) || !data::whole_label(number, label))
    throw data::DataError("expected a label, a whole number from 0 on, found \"" +
                          data::printable(text) + '"');
  return label;
}

/// Names by the label of the file.
class NamesByLabel {
 public:
  void add(std::int64_t label, std::string name) {
    if (label >= static_cast<std::int64_t>(names_.size()))
      names_.resize(static_cast<std::size_t>(label) + 1);
    if (names_[static_cast<std::size_t>(label)].empty())
      names_[static_cast<std::size_t>(label)] = std::move(name);
  }
  [[nodiscard]] std::string of(std::int64_t label) const {
    return label < static_cast<std::int64_t>(names_.size())
               ? names_[static_cast<std::size_t>(label)]
               : std::string();
  }

 private:
  std::vector<std::string> names_;
};

NamesByLabel names_of_list(const std::string& path, std::int64_t classes) {
  NamesByLabel names;
  data::TextLines lines(path);
  while (lines.next()) {
    try {
      const data::ListLine parsed = data::parse_list_line(lines.text());
      const std::int64_t label = label_of(parsed.label);
      if (label < classes) names.add(label, last_folder(parsed.path));
    } catch (const data::DataError& error) {
      lines.fail(error.what());
    }
  }
  return names;
}

NamesByLabel names_of_text(const std::string& path, std::int64_t classes) {
  NamesByLabel names;
  data::TextLines lines(path);
  while (lines.next())
    if (const std::int64_t label = lines.number() - 1; label < classes)
      names.add(label, std::string(lines.text()));
  return names;
}

/// What names the identities of a set in .rec files, or "".
std::string file_of_names(const std::string& folder) {
  for (const char* name : {"train.lst", "identities.txt"}) {
    const fs::path path = fs::path(folder) / name;
    std::error_code error;
    if (!folder.empty() && fs::is_regular_file(path, error)) return path.string();
  }
  return {};
}

bool is_file_of_image(const data::Dataset& whole, std::int64_t index) {
  std::error_code error;
  return fs::is_regular_file(fs::path(whole.folder()) / whole.describe(index), error);
}

/// Why names cannot tell people apart, or "".
std::string problem_of(const std::vector<std::string>& names) {
  std::int64_t named = 0;
  std::set<std::string_view> different;
  for (const std::string& name : names) {
    if (name.empty()) continue;
    ++named;
    different.insert(name);
  }
  if (named == 0) return "the names of its identities are numbers, or missing";
  if (named > 1 && static_cast<std::int64_t>(different.size()) * 2 <= named)
    return "its identities share folders";
  return {};
}

}  // namespace

IdentityNames identity_names(const data::Dataset& dataset) {
  IdentityNames found;
  if (dataset.size() == 0) return found;
  const Origin first = origin_of(dataset, 0);
  const bool has_paths = is_file_of_image(*first.set, first.index);
  const std::string file = has_paths ? "" : file_of_names(first.set->folder());
  if (!has_paths && file.empty()) {
    found.why_none = "there are neither folders of images nor a train.lst or identities.txt";
    return found;
  }
  found.source = has_paths ? "folders" : file;
  NamesByLabel by_label;
  const std::int64_t classes = first.set->num_classes();
  if (!has_paths)
    by_label = file.ends_with(".lst") ? names_of_list(file, classes) : names_of_text(file, classes);
  found.names.resize(static_cast<std::size_t>(dataset.num_classes()));
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    std::string& name = found.names[static_cast<std::size_t>(dataset.label(i))];
    if (!name.empty()) continue;
    const Origin origin = origin_of(dataset, i);
    std::string of_sample = has_paths ? last_folder(origin.set->describe(origin.index))
                                      : by_label.of(origin.set->label(origin.index));
    if (says_something(of_sample)) name = std::move(of_sample);
  }
  found.why_none = problem_of(found.names);
  if (!found.why_none.empty()) found.names.clear();
  return found;
}

}  // namespace diffprob::launch
