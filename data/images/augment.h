#pragma once

#include <cstdint>
#include <vector>

namespace diffprob::data {

/// Limits of a uniform draw.
struct DrawRange {
  float low;
  float high;
};

/// Random changes of training images, all off by default. Each has a stream of its own, keyed by
/// (pass, sample, name of the change): one image looks the same for any number of ranks, threads
/// and other changes that are on. Order: crop, low resolution, blur, photometric, grayscale.
struct AugmentOptions {
  /// A box of the image stays where it is, the rest turns black (AdaFace's crop: pose and scale of
  /// the face are kept).
  float crop_probability = 0.0f;
  DrawRange crop_area{0.2f, 1.0f};  ///< of the box, as a part of the image's, in (0, 1]
  DrawRange crop_aspect{3.0f / 4.0f,
                        4.0f / 3.0f};  ///< width / height, drawn on a logarithmic scale

  /// Shrunk to a smaller side and brought back, each with a filter drawn from nearest, linear,
  /// area, cubic, Lanczos.
  float low_resolution_probability = 0.0f;
  DrawRange low_resolution_side{0.2f, 1.0f};  ///< part of the side that is left, in (0, 1]

  /// Gaussian blur.
  float blur_probability = 0.0f;
  DrawRange blur_sigma{0.8f, 1.1f};  ///< pixels, in (0, 16]

  /// Brightness, contrast, saturation and hue in random order, as torchvision's ColorJitter defines
  /// them.
  float photometric_probability = 0.0f;
  float brightness = 0.5f;  ///< factor from [max(0, 1 - x), 1 + x]; 0: off; the next two alike
  float contrast = 0.5f;
  float saturation = 0.5f;
  float hue = 0.0f;  ///< turns from [-x, x], x at most 0.5

  /// All three channels become the luma.
  float grayscale_probability = 0.0f;

  [[nodiscard]] bool any() const noexcept;
};

/// What AdaFace trains with: crop, low resolution and photometric, each with probability 0.2 and
/// the ranges above.
[[nodiscard]] AugmentOptions adaface_augmentation();

/// Near arcface_torch's DALI pipeline (`dali_aug`): low resolution 0.1 (side 0.5 to 0.8), blur 0.2
/// (windows of 3 and 5 pixels: sigma 0.8 to 1.1), hue within 20 degrees and saturation within 20 %
/// at 0.2, grayscale 0.1. Without that switch arcface_torch only flips.
[[nodiscard]] AugmentOptions arcface_torch_augmentation();

/// Named sets of options.
enum class AugmentPreset {
  kNone,          ///< all off
  kAdaFace,       ///< adaface_augmentation()
  kArcFaceTorch,  ///< arcface_torch_augmentation()
};
[[nodiscard]] AugmentOptions augmentation(AugmentPreset preset);

/// Throws DataError that names the option, what was found and what is allowed.
void check_augmentation(const AugmentOptions& options);

/// Applies the options to images of one size. One object a thread.
class Augmenter {
 public:
  /// Throws as check_augmentation does, and when image_size < 1.
  Augmenter(AugmentOptions options, int image_size);

  /// In place. image: uint8 RGB [image_size, image_size, 3]. `key` stands for pass and sample
  /// (BatchPlan::augment_key).
  void apply(std::uint64_t key, std::uint8_t* image);

 private:
  void crop(std::uint64_t key, std::uint8_t* image) const;
  void low_resolution(std::uint64_t key, std::uint8_t* image);
  void blur(std::uint64_t key, std::uint8_t* image);
  void photometric(std::uint64_t key, std::uint8_t* image) const;
  void grayscale(std::uint64_t key, std::uint8_t* image) const;

  AugmentOptions options_;
  int side_;
  std::vector<std::uint8_t> scratch_;  // one image
};

/// Colour changes on `pixels` RGB triples, rounded to nearest and clamped. Luma is 0.299 R + 0.587
/// G + 0.114 B, rounded.
namespace colour {
void scale_brightness(std::uint8_t* rgb, std::int64_t pixels, float factor);
/// Away from (factor > 1) or towards the rounded mean luma of the image.
void scale_contrast(std::uint8_t* rgb, std::int64_t pixels, float factor);
/// Away from or towards each pixel's luma; 0 is grey.
void scale_saturation(std::uint8_t* rgb, std::int64_t pixels, float factor);
/// Turns the hue of the HSV hexcone; value and saturation stay.
void turn_hue(std::uint8_t* rgb, std::int64_t pixels, float turns);
}  // namespace colour

}  // namespace diffprob::data
