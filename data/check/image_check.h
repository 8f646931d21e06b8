#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "data/check/finding.h"
#include "data/images/jpeg_decoder.h"

namespace diffprob::data {

/// The first 16 bytes of the SHA-256 of an encoded image: equal for byte-identical images, for
/// others with a probability of 2^-128 a pair.
struct ImageDigest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const ImageDigest&, const ImageDigest&) = default;
};

struct ImageProblem {
  FindingKind kind;  ///< kCorrupt, kTruncated or kWrongSize
  std::string message;
};

/// Whether an encoded image (JPEG, PNG, BMP, WebP) stops before its end: JPEG without end marker,
/// PNG without IEND, BMP or WebP with fewer bytes than it announces. Other bytes: false.
[[nodiscard]] bool ends_early(std::span<const std::byte> encoded) noexcept;

/// Decodes images to see whether they can be. One object a thread; memory is reused from image to
/// image.
class ImageCheck {
 public:
  /// `image_size`: wanted width and height in pixels; 0: any.
  explicit ImageCheck(int image_size);
  ~ImageCheck();
  ImageCheck(const ImageCheck&) = delete;
  ImageCheck& operator=(const ImageCheck&) = delete;

  [[nodiscard]] std::optional<ImageProblem> problem(std::span<const std::byte> encoded);
  [[nodiscard]] ImageDigest digest(std::span<const std::byte> encoded);

 private:
  struct Hash;
  int image_size_;
  ImageDecoder decoder_;
  DecodedImage image_;
  std::unique_ptr<Hash> hash_;
};

}  // namespace diffprob::data
