#include "data/records/table.h"

#include <string>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr int kLowBits = 32;
constexpr std::int64_t kLargestOffset = std::int64_t{1} << (2 + kLowBits + 8);

}  // namespace

RecordTable::RecordTable(std::span<const RecordEntry> entries) {
  const auto count = entries.size();
  columns_.low_words.reserve(count);
  columns_.high_bytes.reserve(count);
  columns_.labels.reserve(count);
  bool consecutive = true;
  for (std::size_t i = 0; i < count; ++i) {
    const RecordEntry& entry = entries[i];
    if (entry.offset < 0 || entry.offset % 4 != 0 || entry.offset >= kLargestOffset)
      throw DataError("record " + std::to_string(entry.key) + " at offset " +
                      std::to_string(entry.offset) + ": multiples of 4 below 4 TiB are supported");
    const auto word = static_cast<std::uint64_t>(entry.offset) / 4;
    columns_.low_words.push_back(static_cast<std::uint32_t>(word));
    columns_.high_bytes.push_back(static_cast<std::uint8_t>(word >> kLowBits));
    columns_.labels.push_back(entry.label);
    consecutive = consecutive && entry.key == entries[0].key + i;
  }
  if (count > 0) columns_.first_key = entries[0].key;
  if (consecutive) return;
  columns_.keys.reserve(count);
  for (const RecordEntry& entry : entries) columns_.keys.push_back(entry.key);
}

RecordEntry RecordTable::operator[](std::int64_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  const auto word = static_cast<std::int64_t>(columns_.high_bytes[at]) << kLowBits |
                    std::int64_t{columns_.low_words[at]};
  const auto key = columns_.keys.empty() ? columns_.first_key + static_cast<std::uint32_t>(at)
                                         : columns_.keys[at];
  return {word * 4, key, columns_.labels[at]};
}

}  // namespace diffprob::data
