#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace diffprob::data {

enum class ImageFormat : std::uint8_t { kJpeg, kPng, kBmp, kWebp, kTiff, kUnknown };

/// By the first bytes.
[[nodiscard]] ImageFormat format_of(std::span<const std::byte> encoded);

struct ImageSides {
  std::int64_t width = 0;
  std::int64_t height = 0;
};
/// Sides that the header of a PNG, BMP or TIFF says; nothing for other formats (JPEG has its own
/// header call; WebP cannot say more than 16383). Throws DataError on a truncated header.
[[nodiscard]] std::optional<ImageSides> declared_sides(std::span<const std::byte> encoded,
                                                       ImageFormat format);

}  // namespace diffprob::data
