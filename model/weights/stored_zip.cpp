#include "model/weights/stored_zip.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "data/error.h"
#include "model/weights/zip_format.h"

namespace diffprob::model {
namespace {

std::uint64_t little_endian(std::span<const std::byte> bytes, std::size_t offset,
                            std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i)
    value |= static_cast<std::uint64_t>(bytes[offset + i]) << (8 * i);
  return value;
}

std::uint32_t u32(std::span<const std::byte> bytes, std::size_t offset) {
  return static_cast<std::uint32_t>(little_endian(bytes, offset, 4));
}
std::size_t u16(std::span<const std::byte> bytes, std::size_t offset) {
  return little_endian(bytes, offset, 2);
}
std::uint64_t u64(std::span<const std::byte> bytes, std::size_t offset) {
  return little_endian(bytes, offset, 8);
}

constexpr std::size_t kCrcStep = 16;  // bytes
/// Little-endian; one load on x86.
std::uint32_t load_word(const std::byte* bytes) {
  return static_cast<std::uint32_t>(bytes[0]) | static_cast<std::uint32_t>(bytes[1]) << 8 |
         static_cast<std::uint32_t>(bytes[2]) << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

using CrcTables = std::array<std::array<std::uint32_t, 256>, kCrcStep>;

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1u) != 0 ? 0xEDB88320u : 0u);
    tables[0][i] = value;
  }
  for (std::size_t t = 1; t < kCrcStep; ++t) {
    for (std::size_t i = 0; i < 256; ++i)
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
  }
  return tables;
}

/// Contribution to the CRC of the four bytes of a word that `behind` more bytes of its step follow.
std::uint32_t look_up(const CrcTables& tables, std::size_t behind, std::uint32_t word) {
  return (tables[behind + 3][word & 0xff] ^ tables[behind + 2][word >> 8 & 0xff]) ^
         (tables[behind + 1][word >> 16 & 0xff] ^ tables[behind][word >> 24]);
}

/// Body of the zip64 extra field (id 1) among the extra fields; empty when there is none.
std::span<const std::byte> zip64_field(std::span<const std::byte> extra) {
  while (extra.size() >= 4) {
    const std::size_t length = u16(extra, 2);
    if (length > extra.size() - 4) return {};
    if (u16(extra, 0) == 1) return extra.subspan(4, length);
    extra = extra.subspan(4 + length);
  }
  return {};
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  static constexpr CrcTables kTables = make_crc_tables();
  std::uint32_t crc = ~before;
  std::size_t i = 0;
  for (; i + kCrcStep <= bytes.size(); i += kCrcStep) {
    // Only the first word waits for the step before: the look-ups of the others run ahead of it.
    const std::byte* words = bytes.data() + i;
    const std::uint32_t ahead = look_up(kTables, 8, load_word(words + 4)) ^
                                look_up(kTables, 4, load_word(words + 8)) ^
                                look_up(kTables, 0, load_word(words + 12));
    crc = look_up(kTables, 12, load_word(words) ^ crc) ^ ahead;
  }
  for (; i < bytes.size(); ++i)
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<std::uint32_t>(bytes[i])) & 0xff];
  return ~crc;
}

StoredZip::StoredZip(const std::string& path) : file_(path) {
  read_directory(find_directory());
}

void StoredZip::fail(const std::string& message) const {
  throw data::DataError(file_.path() + ": " + message);
}

StoredZip::Directory StoredZip::find_directory() const {
  constexpr std::int64_t kLongestComment = 0xffff;
  const std::int64_t length =
      std::min<std::int64_t>(file_.size(), kLongestComment + static_cast<std::int64_t>(kEnd));
  std::vector<std::byte> tail(static_cast<std::size_t>(length));
  file_.read(file_.size() - length, tail);
  for (std::size_t back = kEnd; back <= tail.size(); ++back) {
    const std::size_t at = tail.size() - back;
    if (u32(tail, at) != kEndMagic || u16(tail, at + 20) != back - kEnd) continue;
    if (at >= kZip64Locator && u32(tail, at - kZip64Locator) == kZip64LocatorMagic) {
      return read_zip64_end(file_.size() - length + static_cast<std::int64_t>(at - kZip64Locator));
    }
    return {u16(tail, at + 10), u32(tail, at + 12), u32(tail, at + 16)};
  }
  fail("zip: expected an end record, found none (truncated?)");
}

StoredZip::Directory StoredZip::read_zip64_end(std::int64_t locator_offset) const {
  std::array<std::byte, kZip64Locator> locator{};
  file_.read(locator_offset, locator);
  const std::uint64_t offset = u64(locator, 8);
  const auto size = static_cast<std::uint64_t>(file_.size());
  if (offset > size || size - offset < kZip64End)
    fail("zip: the zip64 end record lies beyond the end of the file");
  std::array<std::byte, kZip64End> end{};
  file_.read(static_cast<std::int64_t>(offset), end);
  if (u32(end, 0) != kZip64EndMagic)
    fail("zip: expected a zip64 end record at offset " + std::to_string(offset));
  return {u64(end, 32), u64(end, 40), u64(end, 48)};
}

void StoredZip::read_directory(const Directory& directory) {
  const auto file_size = static_cast<std::uint64_t>(file_.size());
  if (directory.offset > file_size || directory.size > file_size - directory.offset)
    fail("zip: the directory lies beyond the end of the file");
  std::vector<std::byte> bytes(static_cast<std::size_t>(directory.size));
  file_.read(static_cast<std::int64_t>(directory.offset), bytes);
  std::span<const std::byte> rest(bytes);
  std::uint64_t count = 0;
  for (; !rest.empty(); ++count) {
    if (rest.size() < kCentralHeader || u32(rest, 0) != kCentralMagic)
      fail("zip: corrupted directory entry " + std::to_string(count));
    const std::size_t name_size = u16(rest, 28), extra_size = u16(rest, 30),
                      comment_size = u16(rest, 32);
    if (rest.size() - kCentralHeader < name_size + extra_size + comment_size)
      fail("zip: truncated directory entry " + std::to_string(count));
    const std::string name(reinterpret_cast<const char*>(rest.data()) + kCentralHeader, name_size);
    if ((u16(rest, 8) & 1u) != 0) fail("zip: record " + name + " is encrypted");
    const bool compressed = u16(rest, 10) != 0;
    std::array<std::uint64_t, 3> fields = {u32(rest, 24), u32(rest, 20),
                                           u32(rest, 42)};  // size, packed size, header offset
    std::span<const std::byte> wide =
        zip64_field(rest.subspan(kCentralHeader + name_size, extra_size));
    for (auto& field : fields) {
      if (field != kInZip64) continue;
      if (wide.size() < 8) fail("zip: record " + name + " lacks its zip64 field");
      field = u64(wide, 0);
      wide = wide.subspan(8);
    }
    if (compressed) fields[0] = fields[1];
    if (fields[0] != fields[1] || fields[0] > file_size || fields[2] > file_size) {
      fail("zip: record " + name + " claims " + std::to_string(fields[0]) + " bytes at offset " +
           std::to_string(fields[2]) + ", but the file has " + std::to_string(file_size));
    }
    const Record record{u32(rest, 16), static_cast<std::int64_t>(fields[0]),
                        static_cast<std::int64_t>(fields[2]), compressed};
    if (!records_.emplace(name, record).second) fail("zip: two records named " + name);
    rest = rest.subspan(kCentralHeader + name_size + extra_size + comment_size);
  }
  if (count != directory.records) {
    fail("zip: expected " + std::to_string(directory.records) + " directory entries, found " +
         std::to_string(count));
  }
}

const StoredZip::Record& StoredZip::record(const std::string& name) const {
  const auto found = records_.find(name);
  if (found == records_.end()) fail("zip: no record " + name);
  return found->second;
}

std::int64_t StoredZip::data_offset(const std::string& name, const Record& record) const {
  const std::int64_t left = file_.size() - record.header_offset;
  std::vector<std::byte> header(kLocalHeader + name.size());
  if (left < static_cast<std::int64_t>(header.size()))
    fail("zip: record " + name + " is truncated");
  file_.read(record.header_offset, header);
  const auto* local_name = reinterpret_cast<const char*>(header.data()) + kLocalHeader;
  if (u32(header, 0) != kLocalMagic || u16(header, 26) != name.size() ||
      !std::equal(name.begin(), name.end(), local_name)) {
    fail("zip: missing header of record " + name + " at offset " +
         std::to_string(record.header_offset));
  }
  const auto skip = static_cast<std::int64_t>(header.size() + u16(header, 28));
  if (left - skip < record.size) fail("zip: record " + name + " is truncated");
  return record.header_offset + skip;
}

void StoredZip::read(const std::string& name, std::span<std::byte> out) const {
  const Record& entry = record(name);
  if (entry.is_compressed)
    fail("zip: record " + name + " is compressed; torch.save stores its records");
  if (static_cast<std::int64_t>(out.size()) != entry.size) {
    fail("zip: record " + name + ": expected " + std::to_string(out.size()) + " bytes, found " +
         std::to_string(entry.size));
  }
  file_.read(data_offset(name, entry), out);
  if (crc32(out) != entry.crc) fail("zip: record " + name + ": its CRC does not match its bytes");
}

}  // namespace diffprob::model
