#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffprob::data {

struct DatasetFile {
  std::string name;           ///< relative to the folder; never leads out of it
  std::int64_t size = 0;      ///< bytes
  std::int64_t modified = 0;  ///< nanoseconds since 1970
};

/// The files that open_dataset reads for a path.
struct DatasetFiles {
  std::string folder;  ///< absolute
  std::string entry;   ///< what to open inside the folder; empty: the folder itself
  std::vector<DatasetFile> files;
};

/// Throws DataError when the path is no data set, or names images outside its folder (a list may;
/// such a set cannot be copied as it is).
[[nodiscard]] DatasetFiles list_dataset_files(const std::string& path);

/// As bytes, to send to other processes.
[[nodiscard]] std::string serialize(const DatasetFiles& files);
/// Throws DataError on anything that serialize() does not make.
[[nodiscard]] DatasetFiles deserialize_dataset_files(const std::string& bytes);

}  // namespace diffprob::data
