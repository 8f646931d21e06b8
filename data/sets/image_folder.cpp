#include "data/sets/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "data/error.h"
#include "data/sets/image_files.h"
#include "data/sets/image_names.h"

namespace diffprob::data {
namespace fs = std::filesystem;
namespace {

/// Names in `folder` that pass, sorted by bytes (the same on any machine); hidden ones never pass.
template <typename Predicate>
std::vector<std::string> sorted_names(const fs::path& folder, Predicate passes) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (!name.starts_with('.') && passes(*entry)) names.push_back(name);
  }
  if (error) throw DataError(folder.string() + ": cannot be listed: " + error.message());
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::shared_ptr<const ImageFiles> scan_image_folder(const std::string& folder,
                                                    const OnImageSetProblem& on_problem) {
  const auto classes = sorted_names(folder, [](const fs::directory_entry& entry) {
    std::error_code ignored;
    return entry.is_directory(ignored);
  });
  if (classes.empty())
    throw DataError(folder +
                    ": neither a train.rec nor sub-folders; a data set is a folder with train.rec, "
                    "a folder with one sub-folder per class, a .rec file or a .lst list");
  auto files = std::make_shared<ImageFiles>(folder, "folder of images");
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const auto images =
        sorted_names(fs::path(folder) / classes[label], [](const fs::directory_entry& entry) {
          std::error_code ignored;
          return entry.is_regular_file(ignored) && is_image_file(entry.path().string());
        });
    if (images.empty())
      on_problem({static_cast<std::int64_t>(label), (fs::path(folder) / classes[label]).string() +
                                                        ": a class without images (" +
                                                        kImageEndings + ")"});
    for (const auto& image : images)
      files->add(classes[label] + "/" + image, static_cast<std::uint32_t>(label));
  }
  files->finish();
  return files;
}

std::shared_ptr<const Dataset> open_image_folder(const std::string& folder) {
  return scan_image_folder(
      folder, [](const ImageSetProblem& problem) { throw DataError(problem.message); });
}

}  // namespace diffprob::data
