#include "data/images/image_format.h"

#include <cstring>
#include <string>

#include "data/error.h"

namespace diffprob::data {
namespace {

using Bytes = std::span<const std::byte>;

bool starts_with(Bytes bytes, std::size_t offset, const char* magic, std::size_t length) {
  return bytes.size() >= offset + length && std::memcmp(bytes.data() + offset, magic, length) == 0;
}

/// Reads an unsigned number of `width` bytes; what does not fit into the image is an error.
std::uint32_t number_at(Bytes bytes, std::size_t offset, std::size_t width, bool big_endian,
                        const char* format) {
  if (offset > bytes.size() || width > bytes.size() - offset)
    throw DataError(std::string(format) + " of " + std::to_string(bytes.size()) +
                    " bytes is truncated inside its header");
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const auto at = offset + (big_endian ? i : width - 1 - i);
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at]);
  }
  return value;
}

/// BMP sides are signed: a negative height means rows top down.
std::int64_t magnitude(std::uint32_t value) {
  const std::int64_t number = static_cast<std::int32_t>(value);
  return number < 0 ? -number : number;
}

/// Of the first picture of the file, the one that is decoded.
ImageSides tiff_sides(Bytes bytes) {
  constexpr std::uint32_t kWidthTag = 256;
  constexpr std::uint32_t kHeightTag = 257;
  constexpr std::uint32_t kShort = 3;
  constexpr std::size_t kEntryBytes = 12;
  const bool big = starts_with(bytes, 0, "MM", 2);
  const auto number = [&](std::size_t offset, std::size_t width) {
    return number_at(bytes, offset, width, big, "TIFF");
  };
  const std::size_t directory = number(4, 4);
  const auto entries = number(directory, 2);
  ImageSides sides;
  for (std::size_t i = 0; i < entries; ++i) {
    const auto entry = directory + 2 + i * kEntryBytes;
    const auto tag = number(entry, 2);
    if (tag > kHeightTag) break;  // tags stand in rising order
    const auto value = number(entry + 8, number(entry + 2, 2) == kShort ? 2 : 4);
    if (tag == kWidthTag) sides.width = value;
    if (tag == kHeightTag) sides.height = value;
  }
  return sides;
}

}  // namespace

ImageFormat format_of(Bytes encoded) {
  if (starts_with(encoded, 0, "\xff\xd8\xff", 3)) return ImageFormat::kJpeg;
  if (starts_with(encoded, 0, "\x89PNG\r\n\x1a\n", 8)) return ImageFormat::kPng;
  if (starts_with(encoded, 0, "BM", 2)) return ImageFormat::kBmp;
  if (starts_with(encoded, 0, "RIFF", 4) && starts_with(encoded, 8, "WEBP", 4))
    return ImageFormat::kWebp;
  if (starts_with(encoded, 0, "II*\0", 4) || starts_with(encoded, 0, "MM\0*", 4))
    return ImageFormat::kTiff;
  return ImageFormat::kUnknown;
}

std::optional<ImageSides> declared_sides(Bytes encoded, ImageFormat format) {
  if (format == ImageFormat::kPng)
    return ImageSides{number_at(encoded, 16, 4, true, "PNG"),
                      number_at(encoded, 20, 4, true, "PNG")};
  if (format == ImageFormat::kBmp)
    return ImageSides{magnitude(number_at(encoded, 18, 4, false, "BMP")),
                      magnitude(number_at(encoded, 22, 4, false, "BMP"))};
  if (format == ImageFormat::kTiff) return tiff_sides(encoded);
  return std::nullopt;
}

}  // namespace diffprob::data
