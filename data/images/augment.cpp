#include "data/images/augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <opencv2/imgproc.hpp>
#include <string>

#include "data/error.h"
#include "data/random/keyed_random.h"

namespace diffprob::data {
namespace {

constexpr int kCropAttempts = 10;
constexpr std::array<int, 5> kFilters{cv::INTER_NEAREST, cv::INTER_LINEAR, cv::INTER_AREA,
                                      cv::INTER_CUBIC, cv::INTER_LANCZOS4};

KeyedRandom stream(std::uint64_t key, const char* change) {
  return KeyedRandom(combine_key(key, key_of_name(change)));
}

float draw(KeyedRandom& random, DrawRange range) {
  return random.uniform(range.low, range.high);
}

int draw_filter(KeyedRandom& random) {
  return kFilters[static_cast<std::size_t>(random.below(kFilters.size()))];
}

struct Box {
  int left;
  int top;
  int width;
  int height;
};

/// A box of the wanted area and aspect that fits; the whole image when ten draws gave none.
Box draw_box(KeyedRandom& random, const AugmentOptions& options, int side) {
  const DrawRange log_aspect{std::log(options.crop_aspect.low), std::log(options.crop_aspect.high)};
  for (int attempt = 0; attempt < kCropAttempts; ++attempt) {
    const float area =
        static_cast<float>(side) * static_cast<float>(side) * draw(random, options.crop_area);
    const float aspect = std::exp(draw(random, log_aspect));
    const int width = static_cast<int>(std::lround(std::sqrt(area * aspect)));
    const int height = static_cast<int>(std::lround(std::sqrt(area / aspect)));
    if (width < 1 || height < 1 || width > side || height > side) continue;
    const auto left = static_cast<int>(random.below(static_cast<std::uint64_t>(side - width + 1)));
    const auto top = static_cast<int>(random.below(static_cast<std::uint64_t>(side - height + 1)));
    return {left, top, width, height};
  }
  return {0, 0, side, side};
}

void require(bool good, const char* option, float found, const char* allowed) {
  if (!good)
    throw DataError(std::string("augmentation: ") + option + " is " + std::to_string(found) +
                    ", expected " + allowed);
}

void check_probability(const char* option, float value) {
  require(value >= 0.0f && value <= 1.0f, option, value, "0 to 1");
}

void check_range(const char* option, DrawRange range, float most, const char* allowed) {
  require(range.low > 0.0f && range.low <= most, option, range.low, allowed);
  require(range.high >= range.low && range.high <= most, option, range.high, allowed);
}

/// Where ColorJitter draws its factors.
DrawRange around_one(float strength) {
  return {std::max(0.0f, 1.0f - strength), 1.0f + strength};
}

}  // namespace

bool AugmentOptions::any() const noexcept {
  return crop_probability > 0 || low_resolution_probability > 0 || blur_probability > 0 ||
         photometric_probability > 0 || grayscale_probability > 0;
}

AugmentOptions adaface_augmentation() {
  AugmentOptions options;
  options.crop_probability = 0.2f;
  options.low_resolution_probability = 0.2f;
  options.photometric_probability = 0.2f;
  return options;
}

AugmentOptions arcface_torch_augmentation() {
  AugmentOptions options;
  options.low_resolution_probability = 0.1f;
  options.low_resolution_side = {0.5f, 0.8f};
  options.blur_probability = 0.2f;
  options.photometric_probability = 0.2f;
  options.brightness = 0.0f;
  options.contrast = 0.0f;
  options.saturation = 0.2f;
  options.hue = 20.0f / 360.0f;
  options.grayscale_probability = 0.1f;
  return options;
}

AugmentOptions augmentation(AugmentPreset preset) {
  switch (preset) {
    case AugmentPreset::kAdaFace:
      return adaface_augmentation();
    case AugmentPreset::kArcFaceTorch:
      return arcface_torch_augmentation();
    case AugmentPreset::kNone:
      break;
  }
  return {};
}

void check_augmentation(const AugmentOptions& options) {
  check_probability("crop_probability", options.crop_probability);
  check_probability("low_resolution_probability", options.low_resolution_probability);
  check_probability("blur_probability", options.blur_probability);
  check_probability("photometric_probability", options.photometric_probability);
  check_probability("grayscale_probability", options.grayscale_probability);
  check_range("crop_area", options.crop_area, 1.0f, "above 0, at most 1, low first");
  check_range("crop_aspect", options.crop_aspect, 100.0f, "above 0, at most 100, low first");
  check_range("low_resolution_side", options.low_resolution_side, 1.0f,
              "above 0, at most 1, low first");
  check_range("blur_sigma", options.blur_sigma, 16.0f, "above 0, at most 16, low first");
  require(options.brightness >= 0.0f && options.brightness <= 10.0f, "brightness",
          options.brightness, "0 to 10");
  require(options.contrast >= 0.0f && options.contrast <= 10.0f, "contrast", options.contrast,
          "0 to 10");
  require(options.saturation >= 0.0f && options.saturation <= 10.0f, "saturation",
          options.saturation, "0 to 10");
  require(options.hue >= 0.0f && options.hue <= 0.5f, "hue", options.hue, "0 to 0.5");
}

Augmenter::Augmenter(AugmentOptions options, int image_size)
    : options_(options), side_(image_size) {
  check_augmentation(options_);
  require(image_size >= 1, "image_size", static_cast<float>(image_size), "at least 1");
  if (options_.any())
    scratch_.resize(static_cast<std::size_t>(side_) * static_cast<std::size_t>(side_) * 3);
}

void Augmenter::apply(std::uint64_t key, std::uint8_t* image) {
  if (options_.crop_probability > 0) crop(key, image);
  if (options_.low_resolution_probability > 0) low_resolution(key, image);
  if (options_.blur_probability > 0) blur(key, image);
  if (options_.photometric_probability > 0) photometric(key, image);
  if (options_.grayscale_probability > 0) grayscale(key, image);
}

void Augmenter::crop(std::uint64_t key, std::uint8_t* image) const {
  KeyedRandom random = stream(key, "crop");
  if (random.uniform() >= options_.crop_probability) return;
  const Box box = draw_box(random, options_, side_);
  const auto row_bytes = 3 * static_cast<std::size_t>(side_);
  for (int y = 0; y < side_; ++y) {
    std::uint8_t* const row = image + static_cast<std::size_t>(y) * row_bytes;
    const bool outside = y < box.top || y >= box.top + box.height;
    const auto left = outside ? row_bytes : 3 * static_cast<std::size_t>(box.left);
    const auto right = outside ? row_bytes : 3 * static_cast<std::size_t>(box.left + box.width);
    std::fill(row, row + left, std::uint8_t{0});
    std::fill(row + right, row + row_bytes, std::uint8_t{0});
  }
}

void Augmenter::low_resolution(std::uint64_t key, std::uint8_t* image) {
  KeyedRandom random = stream(key, "low resolution");
  if (random.uniform() >= options_.low_resolution_probability) return;
  const int side = std::clamp(
      static_cast<int>(draw(random, options_.low_resolution_side) * static_cast<float>(side_)), 1,
      side_);
  const int down = draw_filter(random);
  const int up = draw_filter(random);
  cv::Mat whole(side_, side_, CV_8UC3, image);
  cv::Mat small(side, side, CV_8UC3, scratch_.data());
  cv::resize(whole, small, small.size(), 0, 0, down);
  cv::resize(small, whole, whole.size(), 0, 0, up);
}

void Augmenter::blur(std::uint64_t key, std::uint8_t* image) {
  KeyedRandom random = stream(key, "blur");
  if (random.uniform() >= options_.blur_probability) return;
  const double sigma = static_cast<double>(draw(random, options_.blur_sigma));
  std::memcpy(scratch_.data(), image, scratch_.size());
  const cv::Mat source(side_, side_, CV_8UC3, scratch_.data());
  cv::Mat target(side_, side_, CV_8UC3, image);
  cv::GaussianBlur(source, target, cv::Size(), sigma);
}

void Augmenter::photometric(std::uint64_t key, std::uint8_t* image) const {
  KeyedRandom random = stream(key, "photometric");
  if (random.uniform() >= options_.photometric_probability) return;
  const float brightness = draw(random, around_one(options_.brightness));
  const float contrast = draw(random, around_one(options_.contrast));
  const float saturation = draw(random, around_one(options_.saturation));
  const float turns = random.uniform(-options_.hue, options_.hue);
  std::array<int, 4> order{0, 1, 2, 3};
  for (std::size_t i = order.size() - 1; i > 0; --i)
    std::swap(order[i], order[static_cast<std::size_t>(random.below(i + 1))]);
  const std::int64_t pixels = std::int64_t{side_} * side_;
  for (const int change : order) {
    if (change == 0 && options_.brightness > 0) colour::scale_brightness(image, pixels, brightness);
    if (change == 1 && options_.contrast > 0) colour::scale_contrast(image, pixels, contrast);
    if (change == 2 && options_.saturation > 0) colour::scale_saturation(image, pixels, saturation);
    if (change == 3 && options_.hue > 0) colour::turn_hue(image, pixels, turns);
  }
}

void Augmenter::grayscale(std::uint64_t key, std::uint8_t* image) const {
  if (stream(key, "grayscale").uniform() >= options_.grayscale_probability) return;
  colour::scale_saturation(image, std::int64_t{side_} * side_, 0.0f);
}

}  // namespace diffprob::data
