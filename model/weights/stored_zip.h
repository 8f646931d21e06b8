#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "data/files/input_file.h"

namespace diffprob::model {

/// Returns the CRC-32 of zip and gzip (polynomial 0xEDB88320) of the bytes that had the CRC
/// `before` (none: 0) followed by `bytes`.
[[nodiscard]] std::uint32_t crc32(std::span<const std::byte> bytes,
                                  std::uint32_t before = 0) noexcept;

/// A zip whose records are stored, not compressed (as torch.save writes them; zip64 too). A
/// compressed record is an error when it is read.
/// LibTorch's own reader does not check the records' CRC, so a damaged weight file would pass: this
/// one does. No length or offset of the file is trusted. All members throw data::DataError.
class StoredZip {
 public:
  explicit StoredZip(const std::string& path);

  struct Record {
    std::uint32_t crc = 0;
    std::int64_t size = 0;
    std::int64_t header_offset = 0;
    bool is_compressed = false;  ///< cannot be read
  };

  [[nodiscard]] const data::InputFile& file() const noexcept { return file_; }
  /// By name.
  [[nodiscard]] const std::map<std::string, Record, std::less<>>& records() const noexcept {
    return records_;
  }
  /// Throws when there is no such record.
  [[nodiscard]] const Record& record(const std::string& name) const;
  /// Fills `out`, of exactly the record's size, and checks the CRC.
  void read(const std::string& name, std::span<std::byte> out) const;

 private:
  struct Directory {
    std::uint64_t records = 0;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
  };
  [[nodiscard]] Directory find_directory() const;
  [[nodiscard]] Directory read_zip64_end(std::int64_t locator_offset) const;
  void read_directory(const Directory& directory);
  [[nodiscard]] std::int64_t data_offset(const std::string& name, const Record& record) const;
  [[noreturn]] void fail(const std::string& message) const;

  data::InputFile file_;
  std::map<std::string, Record, std::less<>> records_;
};

}  // namespace diffprob::model
