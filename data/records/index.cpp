#include "data/records/index.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <string_view>

#include "data/error.h"
#include "data/files/text_lines.h"

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
  TextLines lines(idx_path);
  std::vector<RecordEntry> entries;
  while (lines.next()) {
    RecordEntry entry{0, 0, 0};
    const auto where = [&] { return idx_path + " line " + std::to_string(lines.number()) + ": "; };
    if (!parse_index_line(lines.text(), entry.key, entry.offset))
      throw DataError(where() + "expected key<TAB>offset, found \"" +
                      std::string(lines.text().substr(0, 60)) + "\"" + index_remedy(records));
    if (entry.offset % 4 != 0 || entry.offset >= records.file().size())
      throw DataError(where() + "offset " + std::to_string(entry.offset) + " is not a record of " +
                      records.file().name() + " (" + std::to_string(records.file().size()) +
                      " bytes, records start at multiples of 4)" + index_remedy(records));
    entries.push_back(entry);
  }
  if (entries.empty()) throw DataError(idx_path + ": lists no records" + index_remedy(records));
  std::ranges::sort(entries, {}, &RecordEntry::offset);
  return entries;
}

std::vector<RecordEntry> scan_records(const RecordReader& records,
                                      const std::function<void(std::int64_t)>& passed) {
  constexpr std::size_t kBetweenCalls = 512;
  std::vector<RecordEntry> entries;
  for (std::int64_t offset = 0; offset < records.file().size();) {
    if (passed && entries.size() % kBetweenCalls == 0) passed(offset);
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
