#include "data/images/exif.h"

#include <cstdint>
#include <cstring>

namespace diffprob::data {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3;
constexpr std::size_t kEntryBytes = 12;

bool has_text(Bytes bytes, std::size_t offset, const char* text, std::size_t length) {
  return bytes.size() >= offset + length && std::memcmp(bytes.data() + offset, text, length) == 0;
}

/// A TIFF block: numbers in the byte order that it names. Offsets are checked by the caller.
struct Tiff {
  Bytes bytes;
  bool little_endian;

  [[nodiscard]] std::uint32_t number(std::size_t offset, std::size_t width) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < width; ++i) {
      value = (value << 8) |
              std::to_integer<std::uint32_t>(bytes[offset + (little_endian ? width - 1 - i : i)]);
    }
    return value;
  }
};

/// Of the block behind "Exif\0\0".
bool names_a_turn(Bytes block) {
  if (block.size() < 8) return true;
  const bool little_endian = has_text(block, 0, "II", 2);
  if (!little_endian && !has_text(block, 0, "MM", 2)) return true;
  const Tiff tiff{block, little_endian};
  const std::size_t directory = tiff.number(4, 4);
  if (tiff.number(2, 2) != 42 || directory > block.size() - 2) return true;
  const std::size_t entries = tiff.number(directory, 2);
  if (entries * kEntryBytes > block.size() - 2 - directory) return true;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (tiff.number(entry, 2) != kOrientationTag) continue;
    const bool upright = tiff.number(entry + 2, 2) == kShort && tiff.number(entry + 4, 4) == 1 &&
                         tiff.number(entry + 8, 2) == 1;
    if (!upright) return true;
  }
  return false;
}

}  // namespace

bool may_need_turning(Bytes jpeg) {
  constexpr std::size_t kHead = 4 + 6;  // marker and length, "Exif\0\0"
  std::size_t at = 2;
  while (at + 4 <= jpeg.size() && jpeg[at] == std::byte{0xff}) {
    const auto marker = std::to_integer<unsigned>(jpeg[at + 1]);
    if (marker == 0xda || marker == 0xd9) return false;
    const std::size_t length = (std::to_integer<std::size_t>(jpeg[at + 2]) << 8) |
                               std::to_integer<std::size_t>(jpeg[at + 3]);
    if (marker == 0xe1 && has_text(jpeg, at + 4, "Exif", 4)) {
      if (length + 2 < kHead || at + 2 + length > jpeg.size()) return true;
      if (names_a_turn(jpeg.subspan(at + kHead, length + 2 - kHead))) return true;
    }
    at += 2 + length;
  }
  return false;
}

}  // namespace diffprob::data
