#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/records/index.h"
#include "data/records/reader.h"
#include "data/records/table.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

/// The image records that a check found in a .rec, sound or not; unlike open_record_file it refuses
/// nothing. A label that cannot be one is 2^32 - 1.
class FoundRecords final : public Dataset {
 public:
  /// `entries` in the order of keys, which need not differ.
  FoundRecords(const std::string& rec_path, std::span<const RecordEntry> entries,
               std::int64_t num_classes)
      : records_(rec_path), table_(entries), num_classes_(num_classes) {}

  [[nodiscard]] std::int64_t size() const override { return table_.size(); }
  [[nodiscard]] std::int64_t num_classes() const override { return num_classes_; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    return table_[index].label;
  }
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override {
    records_.read_image(table_[index].offset, bytes);
  }
  [[nodiscard]] std::string describe(std::int64_t index) const override {
    const auto entry = table_[index];
    return records_.file().name() + " record " + std::to_string(entry.key) + " (offset " +
           std::to_string(entry.offset) + ")";
  }
  /// Of offsets, keys and labels; never that of a set that open_dataset accepts.
  [[nodiscard]] std::string fingerprint() const override;

 private:
  RecordReader records_;
  RecordTable table_;
  std::int64_t num_classes_;
};

}  // namespace diffprob::data
