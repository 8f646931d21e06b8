#include "launch/inputs/set_paths.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "launch/inputs/synthetic.h"

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

constexpr std::size_t kShown = 20;

bool is_file(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(path, unknown) && !fs::is_directory(path, unknown);
}

bool is_name(const std::string& text) {
  return !text.empty() && text.find('/') == std::string::npos && text != "." && text != "..";
}

std::string file_name(const std::string& name) {
  return name.ends_with(".bin") ? name : name + ".bin";
}

/// "folder" for "folder/" and "./folder".
fs::path tidy(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

fs::path folder_above(const fs::path& path) {
  const bool is_plain = path.has_parent_path() && path.filename() != "..";
  return is_plain ? path.parent_path() : tidy(fs::absolute(path)).parent_path();
}

/// Where names are looked for, in this order: folders of training sets, then those above.
std::vector<fs::path> folders(const Config& config) {
  std::vector<fs::path> own, above;
  if (is_synthetic(config)) return own;
  for (const std::string& text : config.data.train) {
    const fs::path path = tidy(text);
    std::error_code unknown;
    const bool is_folder = fs::is_directory(path, unknown);
    if (is_folder) own.push_back(path);
    (is_folder ? above : own).push_back(folder_above(path));
  }
  own.insert(own.end(), above.begin(), above.end());
  std::vector<fs::path> all;
  for (const fs::path& folder : own)
    if (std::ranges::find(all, folder) == all.end()) all.push_back(folder);
  return all;
}

std::vector<std::string> bin_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code unknown;
  for (fs::directory_iterator entry(folder, unknown), end; !unknown && entry != end;
       entry.increment(unknown))
    if (entry->path().extension() == ".bin") names.push_back(entry->path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::vector<std::string> set_paths(const Config& config) {
  std::vector<std::string> paths = config.eval.sets;
  const std::vector<fs::path> where = folders(config);
  for (std::string& path : paths) {
    if (is_file(path) || !is_name(path)) continue;
    const std::string name = file_name(path);
    const auto found =
        std::ranges::find_if(where, [&](const fs::path& folder) { return is_file(folder / name); });
    if (found != where.end()) path = (*found / name).string();
  }
  return paths;
}

std::string missing_set(const std::string& path, const Config& config) {
  std::string text = path + " is not there";
  if (!is_name(path)) return text;
  const std::vector<fs::path> where = folders(config);
  if (where.empty())
    return text + "; a name is looked for beside data.train, which names no folder here";
  std::vector<std::string> looked, there;
  for (const fs::path& folder : where) {
    looked.push_back(folder.string());
    for (const std::string& name : bin_files(folder)) there.push_back((folder / name).string());
  }
  const std::size_t more = there.size() > kShown ? there.size() - kShown : 0;
  there.resize(there.size() - more);
  text += fmt::format(", and {} is neither in {}", file_name(path), fmt::join(looked, " nor in "));
  if (there.empty()) return text + ", where no .bin file is";
  return text + fmt::format(". The .bin files there are {}{}", fmt::join(there, ", "),
                            more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace diffprob::launch
