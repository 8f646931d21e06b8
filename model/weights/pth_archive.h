#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diffprob::model {

/// Writes the zip of a weight file, byte for byte as LibTorch's PyTorchStreamWriter does. That one
/// wants every record in one block of memory; this one takes a record in pieces. Records are
/// stored, not compressed, and their bytes begin at multiples of 64.
class PthArchive {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  /// `sink` receives the bytes of the file in order, at most 256 KiB per call. What it throws comes
  /// out of the members below; the archive is of no use then.
  explicit PthArchive(Sink sink) : sink_(std::move(sink)) {}

  /// Begins the record `name`, of `size` bytes: append() them in any number of pieces, then end()
  /// it.
  void begin(const std::string& name, std::uint64_t size);
  void append(std::span<const std::byte> bytes);
  /// Throws c10::Error when the record got more or fewer bytes than it was to have.
  void end();
  /// Writes a whole record.
  void write(const std::string& name, std::string_view bytes);
  /// Writes the records that LibTorch adds to those of the caller, and the directory. Once, as the
  /// last call.
  void finish();

 private:
  struct Record {
    std::string name;
    std::uint64_t size = 0;
    std::uint64_t header_offset = 0;
    std::uint32_t crc = 0;
  };
  void put(std::string_view bytes);
  [[nodiscard]] std::string serialization_id() const;
  [[nodiscard]] static std::string local_header(const Record& record);
  [[nodiscard]] static std::string descriptor(const Record& record);
  [[nodiscard]] static std::string central_header(const Record& record);
  [[nodiscard]] std::string end_of_directory(std::uint64_t directory_size) const;

  Sink sink_;
  std::vector<Record> records_;
  std::uint64_t size_ = 0;  ///< of the file so far
  std::uint64_t left_ = 0;  ///< bytes that the record under way still lacks
};

}  // namespace diffprob::model
