#include "data/records/index.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string_view>

#include "data/error.h"
#include "data/files/stand_in.h"

namespace diffprob::data {
namespace {

constexpr auto kLargestKey = std::numeric_limits<std::uint32_t>::max();

}  // namespace

std::string index_remedy(const RecordReader& records) {
  const std::string& rec = records.file().path();
  const std::string idx = std::filesystem::path(rec).replace_extension(".idx").string();
  return ". Remove " + idx +
         ", without which the .rec is read from its start, or write a new set with "
         "`diffprob data check " +
         rec + " --repair=OUT`";
}

bool parse_index_line(std::string_view line, std::uint32_t& key, std::int64_t& offset) {
  const auto* const end = line.data() + line.size();
  const auto [after_key, key_error] = std::from_chars(line.data(), end, key);
  if (key_error != std::errc() || after_key == end || (*after_key != '\t' && *after_key != ' '))
    return false;
  const auto [after_offset, offset_error] = std::from_chars(after_key + 1, end, offset);
  return offset_error == std::errc() && after_offset == end && offset >= 0;
}

std::vector<RecordEntry> read_record_index(const std::string& idx_path,
                                           const RecordReader& records) {
  std::ifstream file(idx_path);
  if (!file) throw DataError(idx_path + ": cannot be opened");
  refuse_stand_in(idx_path);
  std::vector<RecordEntry> entries;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    std::string_view text(line);
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    RecordEntry entry{0, 0, 0};
    const auto where = [&] { return idx_path + " line " + std::to_string(number) + ": "; };
    if (!parse_index_line(text, entry.key, entry.offset))
      throw DataError(where() + "expected key<TAB>offset, found \"" +
                      std::string(text.substr(0, 60)) + "\"" + index_remedy(records));
    if (entry.offset % 4 != 0 || entry.offset >= records.file().size())
      throw DataError(where() + "offset " + std::to_string(entry.offset) + " is not a record of " +
                      records.file().name() + " (" + std::to_string(records.file().size()) +
                      " bytes, records start at multiples of 4)" + index_remedy(records));
    entries.push_back(entry);
  }
  if (file.bad()) throw DataError(idx_path + ": read failed");
  if (entries.empty()) throw DataError(idx_path + ": lists no records" + index_remedy(records));
  std::ranges::sort(entries, {}, &RecordEntry::offset);
  return entries;
}

std::vector<RecordEntry> scan_records(const RecordReader& records) {
  std::vector<RecordEntry> entries;
  for (std::int64_t offset = 0; offset < records.file().size();) {
    const auto head = records.head(offset);
    if (head.id > kLargestKey)
      throw DataError(records.file().path() + ", record at offset " + std::to_string(offset) +
                      ": id " + std::to_string(head.id) +
                      " cannot be a key; an .idx file is needed");
    entries.push_back({offset, static_cast<std::uint32_t>(head.id), 0});
    offset = head.end;
  }
  if (entries.empty()) throw DataError(records.file().path() + ": no records");
  return entries;
}

}  // namespace diffprob::data
