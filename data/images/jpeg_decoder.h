#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace diffprob::data {

/// A picture of its own size: rgb [height, width, 3], rows top down.
struct DecodedImage {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

/// Decodes images to RGB. JPEG through TurboJPEG straight into the caller's memory; everything else
/// (PNG, BMP, ...) through OpenCV. One object a thread.
class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(const ImageDecoder&) = delete;
  ImageDecoder& operator=(const ImageDecoder&) = delete;

  /// Fills out[size * size * 3] (RGB, rows top down). An image of another size is resized
  /// (bilinear) to size x size. Throws DataError with the reason (not an image, truncated, absurd
  /// dimensions); the caller adds which record.
  void decode(std::span<const std::byte> encoded, int size, std::uint8_t* out);
  /// The image as it is; `image` is resized, its capacity reused. Throws as above.
  void decode(std::span<const std::byte> encoded, DecodedImage& image);

 private:
  /// The JPEG's own picture in `image`; false when OpenCV has to decode it (colours or rotation
  /// that TurboJPEG does not know).
  [[nodiscard]] bool decode_whole_jpeg(std::span<const std::byte> encoded, DecodedImage& image);
  void decode_jpeg(std::span<const std::byte> encoded, int size, std::uint8_t* out);
  void restart();

  void* turbo_;
  std::vector<std::uint8_t> scratch_;
};

/// JPEG (4:2:0 off: 4:4:4) of an RGB image [height, width, 3].
[[nodiscard]] std::vector<std::byte> encode_jpeg(std::span<const std::uint8_t> rgb, int width,
                                                 int height, int quality);

}  // namespace diffprob::data
