#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/records/reader.h"

namespace diffprob::data {

/// Where a record is. 16 bytes while a set is being opened; RecordTable keeps them in fewer.
struct RecordEntry {
  std::int64_t offset;
  std::uint32_t key;
  std::uint32_t label;
};

/// One line of an .idx, `key<TAB>offset`; false when it is anything else.
[[nodiscard]] bool parse_index_line(std::string_view line, std::uint32_t& key,
                                    std::int64_t& offset);

/// Entries of an .idx (`key<TAB>offset` a line, any order), in the order of offsets; labels are not
/// set. Throws DataError with the line.
[[nodiscard]] std::vector<RecordEntry> read_record_index(const std::string& idx_path,
                                                         const RecordReader& records);

/// The same from the .rec alone: keys are the ids in the record headers. Says now and then how many
/// bytes are passed.
[[nodiscard]] std::vector<RecordEntry> scan_records(
    const RecordReader& records, const std::function<void(std::int64_t)>& passed = {});

/// What to do about a broken .idx, which only says what the .rec says as well, as the end of a
/// message.
[[nodiscard]] std::string index_remedy(const RecordReader& records);

}  // namespace diffprob::data
