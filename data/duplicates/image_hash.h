#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace diffprob::data {

/// Signs of 128 coefficients of the cosine transform of a grey image: low frequencies, but not the
/// lowest.
using ImageHash = std::array<std::uint64_t, 2>;
inline constexpr int kHashBits = 128;

/// Number of bits in which two hashes differ.
[[nodiscard]] inline int hash_distance(const ImageHash& a, const ImageHash& b) noexcept {
  return std::popcount(a[0] ^ b[0]) + std::popcount(a[1] ^ b[1]);
}
/// Hash of the mirror image: the coefficients of odd horizontal frequency change their signs.
[[nodiscard]] ImageHash mirrored(const ImageHash& hash) noexcept;

/// Views of an image that a copy of it may show: the whole image (view 0), the image without 4
/// pixels on each side, and without 4 pixels in each direction, at nine places.
inline constexpr int kImageViews = 11;
/// Side of the images that are hashed; others are resized to it first.
inline constexpr int kHashedSide = 112;

using ViewHashes = std::array<ImageHash, kImageViews>;

/// Weighted and normalised coefficients of all views of an image (see ImageHasher::describe).
struct ImageDescription {
  std::vector<float> values;  ///< [kImageViews, kCoefficients]; empty for an image without contrast
  static constexpr int kSide = 28;
  static constexpr int kCoefficients = kSide * kSide;
};

/// Cosine between two images as the larger of both directions, over all views of one against the
/// whole of the other, mirrored or not: from -1 to 1. Brightness and contrast do not count. 0 if
/// one of them has no contrast.
[[nodiscard]] double image_similarity(const ImageDescription& a, const ImageDescription& b);

/// Hashes and describes images of RGB bytes [112, 112, 3], rows top down. Const members may be
/// called from several threads.
///
/// A hash tells which images are worth a comparison, a description compares them. Both are made of
/// the image at half its size, so that compression counts little.
class ImageHasher {
 public:
  ImageHasher();
  /// Returns false for an image of nearly one colour, whose hash would be noise; `out` is then
  /// undefined. Throws DataError unless there are 112 * 112 * 3 bytes.
  [[nodiscard]] bool hash(std::span<const std::uint8_t> rgb, ViewHashes& out) const;
  /// Throws as hash() does.
  [[nodiscard]] ImageDescription describe(std::span<const std::uint8_t> rgb) const;

 private:
  static constexpr int kHalf = kHashedSide / 2;
  /// Ways in which a row or column is cut; a view has one of each.
  static constexpr int kCuts = 5;
  using Grey = std::array<float, kHalf * kHalf>;
  /// Coefficients [frequencies, frequencies] of a view from `by_row`, [kCuts, frequencies, kHalf].
  void transform_view(int view, int frequencies, const std::vector<float>& by_row,
                      float* coefficients) const;
  /// Transforms the columns of the image: [kCuts, frequencies, kHalf].
  [[nodiscard]] std::vector<float> transform_columns(const Grey& grey, int frequencies) const;

  /// [kCuts, ImageDescription::kSide, kHalf]: cosines over the part of a line that a cut leaves.
  std::vector<float> basis_;
};

}  // namespace diffprob::data
