#include "data/staging/dataset_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include <sys/stat.h>

#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/open_dataset.h"
#include "data/records/record_io.h"
#include "data/sets/dataset.h"

namespace diffprob::data {
namespace {

namespace fs = std::filesystem;

void add_file(DatasetFiles& set, const std::string& name) {
  const auto relative = fs::path(name).lexically_normal();
  if (relative.is_absolute() || relative.empty() || *relative.begin() == "..")
    throw DataError(set.folder + ": " + name +
                    " is outside the folder of the set, so the set cannot be staged");
  const auto path = (fs::path(set.folder) / relative).string();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw DataError(path + ": " + std::strerror(errno));
  set.files.push_back(
      {relative.string(), status.st_size,
       std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec});
}

void list_record_files(const std::string& path, DatasetFiles& set) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  const auto rec = folder ? fs::path("train.rec") : fs::path(path).filename();
  const auto absolute = fs::absolute(path);  // the parent of a bare file name is empty
  set.folder = (folder ? absolute : absolute.parent_path()).string();
  set.entry = folder ? "" : rec.string();
  add_file(set, rec.string());
  for (const auto& name :
       {fs::path(rec).replace_extension(".idx").string(), std::string("property")})
    if (fs::exists(fs::path(set.folder) / name, error)) add_file(set, name);
}

void list_image_files(const std::string& path, DatasetFiles& set) {
  const auto images = open_dataset(path);
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  const auto absolute = fs::absolute(path);  // the parent of a bare file name is empty
  set.folder = (folder ? absolute : absolute.parent_path()).string();
  set.entry = folder ? "" : fs::path(path).filename().string();
  if (!folder) add_file(set, set.entry);
  for (std::int64_t i = 0; i < images->size(); ++i) add_file(set, images->describe(i));
  // A list may name a file twice.
  std::ranges::sort(set.files, {}, &DatasetFile::name);
  const auto repeated = std::ranges::unique(set.files, {}, &DatasetFile::name);
  set.files.erase(repeated.begin(), repeated.end());
}

constexpr char kEnd = '\0';  // of a field: no file name holds it

std::string_view next_field(std::string_view& rest) {
  const auto end = rest.find(kEnd);
  if (end == std::string_view::npos) throw DataError("list of files of a data set: truncated");
  const auto field = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return field;
}

std::int64_t next_number(std::string_view& rest) {
  const auto field = next_field(rest);
  std::int64_t value = 0;
  if (!parse_number(field, value))
    throw DataError("list of files of a data set: expected a number");
  return value;
}

}  // namespace

DatasetFiles list_dataset_files(const std::string& path) {
  DatasetFiles set;
  if (is_record_file(path))
    list_record_files(path, set);
  else
    list_image_files(path, set);
  return set;
}

std::string serialize(const DatasetFiles& set) {
  std::string bytes = set.folder + kEnd + set.entry + kEnd;
  for (const auto& file : set.files)
    bytes +=
        std::to_string(file.size) + kEnd + std::to_string(file.modified) + kEnd + file.name + kEnd;
  return bytes;
}

DatasetFiles deserialize_dataset_files(const std::string& bytes) {
  std::string_view rest(bytes);
  DatasetFiles set;
  set.folder = next_field(rest);
  set.entry = next_field(rest);
  while (!rest.empty()) {
    DatasetFile file;
    file.size = next_number(rest);
    file.modified = next_number(rest);
    file.name = next_field(rest);
    set.files.push_back(std::move(file));
  }
  return set;
}

}  // namespace diffprob::data
