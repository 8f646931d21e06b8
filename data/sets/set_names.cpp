#include "data/sets/set_names.h"

#include <algorithm>
#include <filesystem>

#include "data/error.h"

namespace diffprob::data {
namespace fs = std::filesystem;
namespace {

/// "b/a/name" for two parents of ".../b/a/FILE".
std::string with_parents(const fs::path& file, const std::string& name, int parents) {
  fs::path text(name);
  fs::path folder = file.parent_path();
  for (int i = 0; i < parents && folder.has_filename(); ++i, folder = folder.parent_path())
    text = folder.filename() / text;
  return text.string();
}

}  // namespace

std::string set_name(const std::string& path) {
  const fs::path file(path);
  return file.extension() == ".bin" ? file.stem().string() : file.filename().string();
}

std::vector<std::string> distinct_names(const std::vector<std::string>& paths,
                                        std::vector<std::string> names) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    fs::path file = fs::absolute(path).lexically_normal();
    if (!file.has_filename()) file = file.parent_path();  // "folder/"
    if (std::ranges::find(files, file) != files.end())
      throw DataError(path + ": given twice; leave one of the two out");
    files.push_back(std::move(file));
  }
  const std::vector<std::string> short_names = names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::vector<std::size_t> same;
    for (std::size_t j = 0; j < names.size(); ++j)
      if (short_names[j] == short_names[i]) same.push_back(j);
    const auto is_alone = [&](int parents) {
      return std::ranges::none_of(same, [&](std::size_t j) {
        return j != i && with_parents(files[j], short_names[j], parents) == names[i];
      });
    };
    const auto most = std::distance(files[i].begin(), files[i].end());
    for (int parents = 0; parents <= most; ++parents) {
      names[i] = with_parents(files[i], short_names[i], parents);
      if (is_alone(parents)) break;
    }
  }
  return names;
}

std::vector<std::string> set_names(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  std::ranges::transform(paths, std::back_inserter(names), set_name);
  return distinct_names(paths, std::move(names));
}

}  // namespace diffprob::data
