#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/files/input_file.h"
#include "data/records/format.h"

namespace diffprob::data {

/// What the first bytes of a record say. Lengths are checked against the file.
struct RecordHead {
  std::int64_t end = 0;             ///< offset of the next record
  std::int64_t payload_length = 0;  ///< of the whole record, split or not
  std::int64_t image_offset = 0;    ///< inside the payload: behind header and labels
  /// Number of labels that follow the header; 0: the label is in the header.
  std::uint32_t flag = 0;
  std::uint64_t id = 0;
  std::uint64_t id2 = 0;
  float labels[2] = {0.0f, 0.0f};  ///< the first two; the second is 0 when there is one
  bool split = false;              ///< payload in several parts

  [[nodiscard]] std::int64_t image_length() const noexcept { return payload_length - image_offset; }
};

/// Records of one .rec file by offset. Thread-safe. Throws DataError that names file and offset.
class RecordReader {
 public:
  explicit RecordReader(const std::string& path) : file_(path) {}
  [[nodiscard]] const InputFile& file() const noexcept { return file_; }
  [[nodiscard]] RecordHead head(std::int64_t offset) const;
  /// Encoded image of the record: payload without header and labels.
  void read_image(std::int64_t offset, std::vector<std::byte>& bytes) const;

 private:
  struct Part {
    PartKind kind;
    std::int64_t begin;   ///< of the payload
    std::int64_t length;  ///< without padding
    std::int64_t end;     ///< of the padding
  };
  [[noreturn]] void fail(std::int64_t offset, const std::string& message) const;
  [[nodiscard]] Part part_of(std::int64_t offset, const std::byte* head) const;
  [[nodiscard]] Part part_at(std::int64_t offset) const;
  /// All parts of a split record, joined.
  std::int64_t join(std::int64_t offset, const Part& first, std::vector<std::byte>& payload) const;
  void parse(std::int64_t offset, const std::byte* payload, std::int64_t available,
             RecordHead& head) const;

  InputFile file_;
};

}  // namespace diffprob::data
