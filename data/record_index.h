#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/record_reader.h"

namespace diffprob::data {

/// Where a record is. 16 bytes: what a sample of the largest sets (42 million) costs in memory.
struct RecordEntry {
  std::int64_t offset;
  std::uint32_t key;
  std::uint32_t label;
};

/// Entries of an .idx (`key<TAB>offset` a line, any order), in the order of offsets; labels are not set. Throws DataError with the line.
[[nodiscard]] std::vector<RecordEntry> read_record_index(const std::string& idx_path, const RecordReader& records);

/// The same from the .rec alone: keys are the ids in the record headers.
[[nodiscard]] std::vector<RecordEntry> scan_records(const RecordReader& records);

}  // namespace diffprob::data
