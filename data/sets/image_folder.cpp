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
/// The others, but for hidden ones, go to `left_out`.
template <typename Predicate>
std::vector<std::string> sorted_names(const fs::path& folder, Predicate passes,
                                      std::vector<std::string>* left_out = nullptr) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    if (passes(*entry))
      names.push_back(name);
    else if (left_out != nullptr)
      left_out->push_back(name);
  }
  if (error) throw DataError(folder.string() + ": cannot be listed: " + error.message());
  std::ranges::sort(names);
  if (left_out != nullptr) std::ranges::sort(*left_out);
  return names;
}

bool is_folder(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_directory(ignored);
}

bool is_image_entry(const fs::directory_entry& entry) {
  std::error_code ignored;
  return entry.is_regular_file(ignored) && is_image_file(entry.path().string());
}

/// Says why a path is no image of the set, and what to do about it.
std::string why_left_out(const fs::path& path) {
  std::error_code ignored;
  const std::string name = path.string();
  if (fs::is_symlink(fs::symlink_status(path, ignored)) && !fs::exists(path, ignored))
    return name + ": left out, a link that leads nowhere; mend or remove it";
  if (fs::is_directory(path, ignored))
    return name +
           ": left out, a folder inside the folder of a class; move its images one folder up, or "
           "write a .lst list";
  return name + ": left out, no image by its ending (" + kImageEndings +
         ") or its first bytes; remove it, or give an image the ending of its kind";
}

/// The file of a folder without classes that may be meant, for the message.
std::string instead_of(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (fs::path(name).extension() == ".rec" || is_image_list(name))
      return ", but " + name + ": give that file, " + (folder / name).string();
  }
  return {};
}

/// What to do about a class without images: its sub-folders may be the classes.
std::string empty_class_advice(const fs::path& of_class, const std::string& folder) {
  if (!sorted_names(of_class, is_folder).empty())
    return "it has sub-folders: if they are the classes, give " + of_class.string() +
           " as the data set (several sets may be given)";
  return "remove the folder, or write the set without it with `diffprob data check " + folder +
         " --repair=OUT`";
}

/// Tells of what stands beside the folders of the classes: images and dangling links. Lists and
/// notes are no part of the set.
void tell_left_out_beside_classes(const fs::path& folder, const std::vector<std::string>& names,
                                  const OnImageSetProblem& on_problem) {
  std::error_code ignored;
  for (const std::string& name : names) {
    if (!fs::exists(folder / name, ignored))
      on_problem({-1, why_left_out(folder / name), true});
    else if (has_image_ending(name))
      on_problem({-1,
                  (folder / name).string() + ": left out, an image beside the folders of the "
                                             "classes; move it into the folder of its class",
                  true});
  }
}

}  // namespace

std::shared_ptr<const ImageFiles> scan_image_folder(const std::string& folder,
                                                    const OnImageSetProblem& on_problem) {
  std::vector<std::string> left_out;
  const auto classes = sorted_names(folder, is_folder, &left_out);
  if (classes.empty())
    throw DataError(folder + ": neither a train.rec nor sub-folders" +
                    instead_of(folder, left_out) +
                    "; a data set is a folder with train.rec, a folder with one sub-folder per "
                    "class, a .rec file or a .lst list");
  auto files = std::make_shared<ImageFiles>(folder, "folder of images");
  const OnImageSetProblem note = [&](const ImageSetProblem& problem) {
    if (problem.left_out) files->leave_out(problem.message);
    on_problem(problem);
  };
  tell_left_out_beside_classes(folder, left_out, note);
  for (std::size_t label = 0; label < classes.size(); ++label) {
    left_out.clear();
    const fs::path of_class = fs::path(folder) / classes[label];
    const auto images = sorted_names(of_class, is_image_entry, &left_out);
    for (const std::string& name : left_out) note({-1, why_left_out(of_class / name), true});
    if (images.empty())
      note({static_cast<std::int64_t>(label), of_class.string() + ": a class without images (" +
                                                  kImageEndings + "); " +
                                                  empty_class_advice(of_class, folder)});
    for (const auto& image : images)
      files->add(classes[label] + "/" + image, static_cast<std::uint32_t>(label));
  }
  files->finish();
  return files;
}

std::shared_ptr<const Dataset> open_image_folder(const std::string& folder) {
  return scan_image_folder(folder, [](const ImageSetProblem& problem) {
    if (!problem.left_out) throw DataError(problem.message);
  });
}

}  // namespace diffprob::data
