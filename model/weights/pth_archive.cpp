#include "model/weights/pth_archive.h"

#include <algorithm>
#include <type_traits>
#include <unordered_set>

#include <c10/util/Exception.h>
#include <c10/util/hash.h>

#include "model/weights/little_endian.h"
#include "model/weights/stored_zip.h"
#include "model/weights/zip_format.h"

namespace diffprob::model {
namespace {

constexpr std::uint64_t kRecordAlignment = 64, kExtraHead = 4;
constexpr std::size_t kPiece = std::size_t{1}
                               << 18;  // stays in the cache between the CRC and the sink
constexpr const char* kFolder = "archive/";

/// Numbers of 2, 4 or 8 bytes and texts, one after the other.
template <class... Fields>
std::string packed(const Fields&... fields) {
  std::string bytes;
  const auto append = [&](const auto& field) {
    if constexpr (std::is_unsigned_v<std::decay_t<decltype(field)>>) {
      append_little_endian(bytes, field);
    } else {
      bytes += field;
    }
  };
  (append(fields), ...);
  return bytes;
}

std::uint16_t u16(std::uint64_t value) {
  return static_cast<std::uint16_t>(std::min<std::uint64_t>(value, 0xffffu));
}

std::uint32_t u32(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, kInZip64));
}

bool is_wide(std::uint64_t value) {
  return value >= kInZip64;
}

/// The numbers of a record that do not fit into 32 bits, as an extra field; empty when all do.
std::string zip64_field(std::uint64_t size, std::uint64_t stored_size,
                        std::uint64_t header_offset) {
  std::string numbers;
  if (is_wide(size)) numbers += packed(size, stored_size);
  if (is_wide(header_offset)) numbers += packed(header_offset);
  return numbers.empty() ? "" : packed(std::uint16_t{1}, u16(numbers.size()), numbers);
}

/// Bit 11: names are UTF-8; bit 3: CRC and sizes follow the bytes. A record without bytes needs
/// nothing behind them.
std::uint16_t flags_of(std::uint64_t size) {
  return size == 0 ? 0x0800 : 0x0808;
}

}  // namespace

void PthArchive::begin(const std::string& name, std::uint64_t size) {
  records_.push_back({name, size, size_});
  left_ = size;
  put(local_header(records_.back()));
}

void PthArchive::append(std::span<const std::byte> bytes) {
  Record& record = records_.back();
  TORCH_CHECK(bytes.size() <= left_, "weight file: record ", record.name, " has more than the ",
              record.size, " bytes announced for it");
  left_ -= bytes.size();
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kPiece, bytes.size()))) {
    const auto piece = bytes.first(std::min(kPiece, bytes.size()));
    record.crc = crc32(piece, record.crc);
    sink_(piece);
    size_ += piece.size();
  }
}

void PthArchive::end() {
  const Record& record = records_.back();
  TORCH_CHECK(left_ == 0, "weight file: record ", record.name, " lacks ", left_, " of its ",
              record.size, " bytes");
  if (record.size > 0) put(descriptor(record));
}

void PthArchive::write(const std::string& name, std::string_view bytes) {
  begin(name, bytes.size());
  append(std::as_bytes(std::span(bytes)));
  end();
}

void PthArchive::finish() {
  write("version", "3\n");
  write(".data/serialization_id", serialization_id());
  const std::uint64_t begin = size_;
  for (const Record& record : records_) put(central_header(record));
  put(end_of_directory(size_ - begin));
}

void PthArchive::put(std::string_view bytes) {
  sink_(std::as_bytes(std::span(bytes)));
  size_ += bytes.size();
}

/// LibTorch's hash of all names and of all CRCs, in decimal. Its order of the names is that of this
/// very container.
std::string PthArchive::serialization_id() const {
  std::unordered_set<std::string> names;
  std::uint64_t crcs = 0;
  for (const Record& record : records_) {
    names.insert(record.name);
    if (record.size > 0) crcs = c10::hash_combine(crcs, record.crc);
  }
  std::uint64_t hash = 0;
  for (const std::string& name : names)
    hash = c10::hash_combine(hash, c10::hash<std::string>()(name));
  const auto padded = [](const std::string& digits) {
    return std::string(20 - digits.size(), '0') + digits;
  };
  return padded(std::to_string(hash)) + padded(std::to_string(crcs));
}

std::string PthArchive::local_header(const Record& record) {
  const std::string name = kFolder + record.name;
  // As LibTorch: the descriptor says it.
  std::string extra = zip64_field(record.size, 0, record.header_offset);
  const std::uint64_t begin =
      record.header_offset + kLocalHeader + name.size() + extra.size() + kExtraHead;
  const std::uint64_t padding = (kRecordAlignment - begin % kRecordAlignment) % kRecordAlignment;
  extra += "FB" + packed(u16(padding)) + std::string(padding, 'Z');
  return packed(kLocalMagic, std::uint16_t{0}, flags_of(record.size), std::uint16_t{0},
                std::uint32_t{0},  //
                std::uint32_t{0}, std::uint32_t{0}, std::uint32_t{0}, u16(name.size()),
                u16(extra.size()), name, extra);
}

std::string PthArchive::descriptor(const Record& record) {
  const std::string head = packed(kDescriptorMagic, record.crc);
  const bool wide = is_wide(record.size) || is_wide(record.header_offset);
  return head +
         (wide ? packed(record.size, record.size) : packed(u32(record.size), u32(record.size)));
}

std::string PthArchive::central_header(const Record& record) {
  const std::string name = kFolder + record.name;
  const std::string extra = zip64_field(record.size, record.size, record.header_offset);
  const std::uint16_t none = 0;  // versions, method, comment, disk, attributes
  return packed(kCentralMagic, none, none, flags_of(record.size), none, std::uint32_t{0},
                record.crc, u32(record.size), u32(record.size), u16(name.size()), u16(extra.size()),
                none, none, none, std::uint32_t{0}, u32(record.header_offset), name, extra);
}

/// The zip64 end record, its locator, and the end record.
std::string PthArchive::end_of_directory(std::uint64_t directory_size) const {
  const std::uint64_t count = records_.size();
  const std::uint64_t offset = size_ - directory_size;
  const std::uint32_t disk = 0;
  return packed(kZip64EndMagic, std::uint64_t{44}, std::uint16_t{0x031e}, std::uint16_t{45}, disk,
                disk, count, count, directory_size, offset) +
         packed(kZip64LocatorMagic, disk, size_, std::uint32_t{1}) +
         packed(kEndMagic, std::uint16_t{0}, std::uint16_t{0}, u16(count), u16(count),
                u32(directory_size), u32(offset), std::uint16_t{0});
}

}  // namespace diffprob::model
