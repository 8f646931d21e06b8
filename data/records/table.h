#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "data/records/index.h"

namespace diffprob::data {

/// Where the images of a .rec lie and what their labels are, packed: 9 bytes an image, 13 when the
/// keys have gaps.
class RecordTable {
 public:
  /// One value per image in each.
  struct Columns {
    std::vector<std::uint32_t> low_words;  ///< of offset / 4
    std::vector<std::uint8_t> high_bytes;  ///< of offset / 4
    std::vector<std::uint32_t> labels;
    std::vector<std::uint32_t> keys;  ///< empty: first_key + index
    std::uint32_t first_key = 0;
  };

  RecordTable() = default;
  /// `entries` in the order of keys. Throws DataError on an offset that is not a multiple of 4
  /// below 4 TiB.
  explicit RecordTable(std::span<const RecordEntry> entries);
  /// As columns() gave them.
  explicit RecordTable(Columns columns) : columns_(std::move(columns)) {}
  [[nodiscard]] const Columns& columns() const noexcept { return columns_; }
  [[nodiscard]] std::int64_t size() const noexcept {
    return static_cast<std::int64_t>(columns_.labels.size());
  }
  /// 0 <= index < size().
  [[nodiscard]] RecordEntry operator[](std::int64_t index) const noexcept;

 private:
  Columns columns_;
};

}  // namespace diffprob::data
