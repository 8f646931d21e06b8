#include "data/open_dataset.h"

#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "data/error.h"
#include "data/records/record_io.h"
#include "data/sets/concatenated_dataset.h"
#include "data/sets/image_folder.h"
#include "data/sets/verification_images.h"

namespace diffprob::data {
namespace fs = std::filesystem;
namespace {

constexpr const char* kUnderstood =
    "supported: a folder with train.rec, a .rec file, a list (.lst, .list or .txt), a folder with "
    "one sub-folder per class, or a verification set (.bin)";

std::shared_ptr<const Dataset> open_folder(const std::string& path, const HeadProgress& progress) {
  const fs::path records = fs::path(path) / "train.rec";
  std::error_code error;
  if (fs::exists(records, error))
    return open_record_file(records.string(), kLeastIndexedBytes, progress);
  if (fs::is_symlink(fs::symlink_status(records, error)))
    throw DataError(records.string() + ": is a link to " +
                    fs::read_symlink(records, error).string() +
                    ", which is not there; mend the link, or give the .rec file itself");
  return open_image_folder(path);
}

}  // namespace

std::shared_ptr<const Dataset> open_dataset(const std::string& path, const std::string& list_root,
                                            const HeadProgress& progress) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status))
    throw DataError(path + ": " +
                    (status.type() == fs::file_type::not_found
                         ? "does not exist"
                         : "cannot be opened: " + error.message()));
  if (fs::is_directory(status)) return open_folder(path, progress);
  const auto extension = fs::path(path).extension();
  if (extension == ".rec") return open_record_file(path, kLeastIndexedBytes, progress);
  if (extension == ".bin") return open_verification_images(path);
  if (is_image_list(path)) return open_image_list(path, list_root);
  throw DataError(path + ": a file that ends in \"" + extension.string() + "\"; " + kUnderstood);
}

std::shared_ptr<const Dataset> open_datasets(const std::vector<std::string>& paths,
                                             const std::string& list_root,
                                             const HeadProgress& progress) {
  if (paths.empty()) throw DataError("no data set was given");
  if (paths.size() == 1) return open_dataset(paths.front(), list_root, progress);
  std::set<fs::path> seen;
  std::vector<ConcatenatedDataset::Part> parts;
  for (const auto& path : paths) {
    std::error_code error;
    const auto resolved = fs::canonical(path, error);
    if (!error && !seen.insert(resolved).second)
      throw DataError(path +
                      ": given twice; the identities of each set count as distinct, so give every "
                      "set only once");
    parts.push_back({path, open_dataset(path, list_root, progress)});
  }
  return std::make_shared<ConcatenatedDataset>(std::move(parts));
}

}  // namespace diffprob::data
