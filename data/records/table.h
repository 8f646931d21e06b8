#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/records/index.h"

namespace diffprob::data {

/// Where the images of a .rec lie and what their labels are, packed: 9 bytes an image, 13 when the
/// keys have gaps.
class RecordTable {
 public:
  RecordTable() = default;
  /// `entries` in the order of keys. Throws DataError on an offset that is not a multiple of 4
  /// below 4 TiB.
  explicit RecordTable(std::span<const RecordEntry> entries);
  [[nodiscard]] std::int64_t size() const noexcept {
    return static_cast<std::int64_t>(labels_.size());
  }
  /// 0 <= index < size().
  [[nodiscard]] RecordEntry operator[](std::int64_t index) const noexcept;

 private:
  std::vector<std::uint32_t> low_words_;  // of offset / 4
  std::vector<std::uint8_t> high_bytes_;
  std::vector<std::uint32_t> labels_;
  std::vector<std::uint32_t> keys_;  // empty: first_key_ + index
  std::uint32_t first_key_ = 0;
};

}  // namespace diffprob::data
