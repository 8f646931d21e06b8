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
  low_words_.reserve(count);
  high_bytes_.reserve(count);
  labels_.reserve(count);
  bool consecutive = true;
  for (std::size_t i = 0; i < count; ++i) {
    const RecordEntry& entry = entries[i];
    if (entry.offset < 0 || entry.offset % 4 != 0 || entry.offset >= kLargestOffset)
      throw DataError("record " + std::to_string(entry.key) + " at offset " +
                      std::to_string(entry.offset) + ": multiples of 4 below 4 TiB are supported");
    const auto word = static_cast<std::uint64_t>(entry.offset) / 4;
    low_words_.push_back(static_cast<std::uint32_t>(word));
    high_bytes_.push_back(static_cast<std::uint8_t>(word >> kLowBits));
    labels_.push_back(entry.label);
    consecutive = consecutive && entry.key == entries[0].key + i;
  }
  if (count > 0) first_key_ = entries[0].key;
  if (consecutive) return;
  keys_.reserve(count);
  for (const RecordEntry& entry : entries) keys_.push_back(entry.key);
}

RecordEntry RecordTable::operator[](std::int64_t index) const noexcept {
  const auto at = static_cast<std::size_t>(index);
  const auto word =
      static_cast<std::int64_t>(high_bytes_[at]) << kLowBits | std::int64_t{low_words_[at]};
  const auto key = keys_.empty() ? first_key_ + static_cast<std::uint32_t>(at) : keys_[at];
  return {word * 4, key, labels_[at]};
}

}  // namespace diffprob::data
