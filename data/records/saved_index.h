#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/records/reader.h"
#include "data/records/table.h"

namespace diffprob::data {

/// What an index was made from. It is not used once any of this has changed.
struct IndexedFiles {
  std::int64_t rec_bytes = 0;
  std::int64_t rec_time = 0;    ///< of the last change, in nanoseconds since 1970
  std::int64_t idx_bytes = -1;  ///< -1: there is no .idx
  std::int64_t idx_time = 0;
  std::int64_t announced_classes = -1;  ///< by `property`; -1: it says nothing

  [[nodiscard]] bool operator==(const IndexedFiles&) const = default;
};

/// What opening a record file finds out by reading the head of every record.
struct SavedIndex {
  RecordTable table;
  std::int64_t num_classes = 0;
  std::string fingerprint;  ///< 64 hex digits
};

/// NAME.rec -> NAME.rec_index, beside it.
[[nodiscard]] std::string saved_index_path(const std::string& rec_path);

/// Throws DataError when one of the files cannot be looked at.
[[nodiscard]] IndexedFiles indexed_files(const std::string& rec_path, const std::string& idx_path,
                                         std::optional<std::int64_t> announced_classes);

/// The index that an earlier opening has left (data/FORMATS.md), or nothing: when there is none,
/// when it was made from other files, is damaged, or some of the records are not as it says. Never
/// throws: whoever opens the set reads the records then.
[[nodiscard]] std::optional<SavedIndex> read_saved_index(const RecordReader& records,
                                                         const IndexedFiles& files);

/// Leaves the index for the next opening, whole or not at all. Does nothing where the folder cannot
/// be written, or when a file is so new that a further change might not show in its time.
void save_index(const std::string& rec_path, const IndexedFiles& files, const SavedIndex& index);

}  // namespace diffprob::data
