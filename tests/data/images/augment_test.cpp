#include "data/images/augment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <opencv2/imgproc.hpp>
#include <set>

#include "data/error.h"
#include "data/random/keyed_random.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using ::testing::HasSubstr;
using Image = std::vector<std::uint8_t>;

constexpr int kSide = 40;
constexpr std::int64_t kPixels = std::int64_t{kSide} * kSide;

/// Bytes from 1 to 255.
Image random_image(std::uint64_t key) {
  KeyedRandom random(key);
  Image image(kPixels * 3);
  for (auto& byte : image) byte = static_cast<std::uint8_t>(1 + random.below(255));
  return image;
}

Image applied(const AugmentOptions& options, std::uint64_t key, Image image) {
  Augmenter(options, kSide).apply(key, image.data());
  return image;
}

std::uint8_t& at(Image& image, int x, int y, int c) {
  return image[static_cast<std::size_t>(3 * (y * kSide + x) + c)];
}

int largest_difference(const Image& a, const Image& b) {
  int most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(int{a[i]} - int{b[i]}));
  return most;
}

TEST(Augment, NothingIsOnByDefault) {
  EXPECT_FALSE(AugmentOptions{}.any());
  for (std::uint64_t key = 0; key < 20; ++key)
    EXPECT_EQ(applied({}, key, random_image(key)), random_image(key));
}

TEST(Augment, CropKeepsOneBoxInPlaceAndBlackensTheRest) {
  const AugmentOptions options{.crop_probability = 1.0f};
  const Image original = random_image(1);
  std::set<std::pair<int, int>> corners;
  for (std::uint64_t key = 0; key < 2000; ++key) {
    Image image = applied(options, key, original);
    int left = kSide, right = -1, top = kSide, bottom = -1;
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x)
        if (at(image, x, y, 0) != 0)
          left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
          bottom = std::max(bottom, y);
    Image wanted = original;
    for (int y = 0; y < kSide; ++y)
      for (int x = 0; x < kSide; ++x)
        for (int c = 0; c < 3; ++c)
          if (x < left || x > right || y < top || y > bottom) at(wanted, x, y, c) = 0;
    ASSERT_EQ(image, wanted) << key;
    const double width = right - left + 1;
    const double height = bottom - top + 1;
    EXPECT_GE((width + 0.5) * (height + 0.5), 0.2 * kPixels);
    EXPECT_LE((width - 0.5) / (height + 0.5), 4.0 / 3.0);
    EXPECT_GE((width + 0.5) / (height - 0.5), 3.0 / 4.0);
    corners.emplace(left, top);
  }
  EXPECT_GT(corners.size(), 150u);
}

TEST(Augment, LowResolutionIsOneOfTheFilterPairs) {
  const AugmentOptions options{.low_resolution_probability = 1.0f,
                               .low_resolution_side = {0.6f, 0.6f}};
  Image original = random_image(2);
  cv::Mat whole(kSide, kSide, CV_8UC3, original.data());
  std::vector<Image> pairs;
  for (const int down :
       {cv::INTER_NEAREST, cv::INTER_LINEAR, cv::INTER_AREA, cv::INTER_CUBIC, cv::INTER_LANCZOS4}) {
    for (const int up : {cv::INTER_NEAREST, cv::INTER_LINEAR, cv::INTER_AREA, cv::INTER_CUBIC,
                         cv::INTER_LANCZOS4}) {
      cv::Mat small, back;
      cv::resize(whole, small, cv::Size(24, 24), 0, 0, down);
      cv::resize(small, back, cv::Size(kSide, kSide), 0, 0, up);
      pairs.emplace_back(back.data, back.data + kPixels * 3);
    }
  }
  std::set<std::size_t> seen;
  for (std::uint64_t key = 0; key < 600; ++key) {
    const auto found = std::ranges::find(pairs, applied(options, key, original));
    ASSERT_NE(found, pairs.end()) << key;
    seen.insert(static_cast<std::size_t>(found - pairs.begin()));
  }
  EXPECT_EQ(seen.size(),
            std::set<Image>(pairs.begin(), pairs.end()).size());  // every pair turns up
}

TEST(Augment, BlurIsAGaussianConvolution) {
  const double sigma = 1.1;
  const AugmentOptions options{.blur_probability = 1.0f, .blur_sigma = {1.1f, 1.1f}};
  Image original = random_image(3);
  constexpr int kRadius = 3;  // OpenCV's width for 8 bits: 6 sigma + 1, made odd
  std::vector<double> kernel;
  double sum = 0.0;
  for (int i = -kRadius; i <= kRadius; ++i)
    sum += kernel.emplace_back(std::exp(-i * i / (2 * sigma * sigma)));
  const auto mirror = [](int x) { return x < 0 ? -x : x >= kSide ? 2 * (kSide - 1) - x : x; };
  Image wanted = original;
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x)
      for (int c = 0; c < 3; ++c) {
        double value = 0.0;
        for (int dy = -kRadius; dy <= kRadius; ++dy)
          for (int dx = -kRadius; dx <= kRadius; ++dx)
            value += kernel[static_cast<std::size_t>(dy + kRadius)] *
                     kernel[static_cast<std::size_t>(dx + kRadius)] *
                     at(original, mirror(x + dx), mirror(y + dy), c);
        at(wanted, x, y, c) = static_cast<std::uint8_t>(std::lround(value / (sum * sum)));
      }
  EXPECT_LE(largest_difference(applied(options, 5, original), wanted), 2);
}

double luma_of(const std::uint8_t* rgb) {
  return std::floor(0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] + 0.5);
}

/// `change(value, luma of the pixel, mean luma)` for every byte.
Image slowly(const Image& image, const std::function<double(double, double, double)>& change) {
  double mean = 0.0;
  for (std::int64_t i = 0; i < kPixels; ++i)
    mean += luma_of(&image[static_cast<std::size_t>(3 * i)]) / kPixels;
  mean = std::floor(mean + 0.5);
  Image out = image;
  for (std::size_t i = 0; i < image.size(); ++i)
    out[i] = static_cast<std::uint8_t>(
        std::lround(std::clamp(change(image[i], luma_of(&image[i - i % 3]), mean), 0.0, 255.0)));
  return out;
}

TEST(Colour, BrightnessContrastAndSaturationMatchTheirDefinitions) {
  const Image original = random_image(4);
  for (const float factor : {0.0f, 0.5f, 0.93f, 1.0f, 1.37f, 1.5f}) {
    const auto f = static_cast<double>(factor);
    Image image = original;
    colour::scale_brightness(image.data(), kPixels, factor);
    EXPECT_LE(largest_difference(image,
                                 slowly(original, [f](double v, double, double) { return f * v; })),
              1)
        << factor;
    image = original;
    colour::scale_contrast(image.data(), kPixels, factor);
    EXPECT_LE(largest_difference(
                  image, slowly(original, [f](double v, double,
                                              double mean) { return mean + f * (v - mean); })),
              1)
        << factor;
    image = original;
    colour::scale_saturation(image.data(), kPixels, factor);
    EXPECT_LE(
        largest_difference(image, slowly(original, [f](double v, double grey,
                                                       double) { return grey + f * (v - grey); })),
        1)
        << factor;
    if (factor == 1.0f) {
      EXPECT_EQ(image, original);
    }
  }
}

TEST(Colour, HueTurnsLikeOpenCvsHexcone) {
  const Image original = random_image(5);
  for (const float turns : {-0.5f, -0.31f, -0.05f, 0.0f, 0.02f, 0.2f, 0.5f}) {
    Image image = original;
    colour::turn_hue(image.data(), kPixels, turns);
    Image copy = original;
    cv::Mat rgb, hsv;
    cv::Mat(kSide, kSide, CV_8UC3, copy.data()).convertTo(rgb, CV_32FC3, 1.0 / 255.0);
    cv::cvtColor(rgb, hsv, cv::COLOR_RGB2HSV);  // hue in degrees
    hsv.forEach<cv::Vec3f>([turns](cv::Vec3f& pixel, const int*) {
      pixel[0] = std::fmod(pixel[0] + 360.0f * turns + 360.0f, 360.0f);
    });
    cv::cvtColor(hsv, rgb, cv::COLOR_HSV2RGB);
    cv::Mat(rgb * 255.0).convertTo(hsv, CV_8UC3);
    EXPECT_LE(largest_difference(image, Image(hsv.data, hsv.data + kPixels * 3)), 1) << turns;
  }
  Image third = original;
  colour::turn_hue(third.data(), kPixels, 1.0f / 3.0f);
  for (std::size_t i = 0; i < third.size(); i += 3) {
    EXPECT_NEAR(third[i + 1], original[i], 1);  // red becomes green
    EXPECT_NEAR(third[i + 2], original[i + 1], 1);
  }
}

TEST(Augment, PhotometricDrawsItsFactorsFromTheRange) {
  const AugmentOptions options{
      .photometric_probability = 1.0f, .brightness = 0.5f, .contrast = 0.0f, .saturation = 0.0f};
  int darkest = 255, brightest = 0;
  for (std::uint64_t key = 0; key < 500; ++key) {
    const Image image = applied(options, key, Image(kPixels * 3, 100));
    EXPECT_EQ(std::ranges::count(image, image[0]), kPixels * 3);
    darkest = std::min(darkest, int{image[0]});
    brightest = std::max(brightest, int{image[0]});
  }
  EXPECT_GE(darkest, 50);
  EXPECT_LE(darkest, 52);
  EXPECT_LE(brightest, 150);
  EXPECT_GE(brightest, 148);
}

TEST(Augment, PhotometricChangesComeInEveryOrder) {
  // Brightness 2 saturates, contrast about the mean does not commute with it: with fixed strengths
  // the number of different pictures shows the orders.
  const Image original = random_image(6);
  std::set<Image> pictures;
  for (std::uint64_t key = 0; key < 200; ++key) {
    AugmentOptions options{.photometric_probability = 1.0f,
                           .brightness = 1.0f,
                           .contrast = 1.0f,
                           .saturation = 1.0f,
                           .hue = 0.5f};
    pictures.insert(applied(options, key, original));
    EXPECT_EQ(applied(options, key, original), applied(options, key, original));
  }
  EXPECT_EQ(pictures.size(), 200u);
}

TEST(Augment, GrayscaleComesAsOftenAsAsked) {
  const AugmentOptions options{.grayscale_probability = 0.3f};
  const Image original = random_image(7);
  const Image grey = slowly(original, [](double, double luma, double) { return luma; });
  int changed = 0;
  for (std::uint64_t key = 0; key < 2000; ++key) {
    const Image image = applied(options, key, original);
    if (image == original) continue;
    ++changed;
    EXPECT_LE(largest_difference(image, grey), 1);
    EXPECT_EQ(image[0], image[2]);
  }
  EXPECT_NEAR(changed, 600, 5 * std::sqrt(2000 * 0.3 * 0.7));
}

TEST(Augment, EachChangeHasAStreamOfItsOwn) {
  const AugmentOptions alone{.crop_probability = 0.5f};
  AugmentOptions both = alone;
  both.grayscale_probability =
      0.5f;  // changes nothing on a grey image, and must not change the crop
  AugmentOptions chained = alone;
  chained.low_resolution_probability = 0.5f;
  chained.low_resolution_side = {1.0f, 1.0f};
  const Image grey(kPixels * 3, 90);
  for (std::uint64_t key = 0; key < 200; ++key) {
    EXPECT_EQ(applied(both, key, grey), applied(alone, key, grey));
    EXPECT_EQ(applied(chained, key, grey), applied(alone, key, grey));
  }
}

TEST(Augment, PresetsAreValidAndOn) {
  EXPECT_TRUE(adaface_augmentation().any());
  EXPECT_FLOAT_EQ(adaface_augmentation().crop_probability, 0.2f);
  EXPECT_NO_THROW(check_augmentation(adaface_augmentation()));
  EXPECT_TRUE(arcface_torch_augmentation().any());
  EXPECT_NO_THROW(check_augmentation(arcface_torch_augmentation()));
}

TEST(Augment, ErrorsNameTheOption) {
  const auto error = [](const std::function<void(AugmentOptions&)>& change) {
    AugmentOptions options;
    change(options);
    return test::error_of([&] { Augmenter(options, kSide); });
  };
  EXPECT_THAT(error([](AugmentOptions& o) { o.crop_probability = 1.5f; }),
              HasSubstr("crop_probability is 1.5"));
  EXPECT_THAT(error([](AugmentOptions& o) { o.blur_probability = std::nanf(""); }),
              HasSubstr("blur_probability"));
  EXPECT_THAT(error([](AugmentOptions& o) { o.crop_area = {0.0f, 1.0f}; }), HasSubstr("crop_area"));
  EXPECT_THAT(error([](AugmentOptions& o) {
                o.crop_aspect = {2.0f, 1.0f};
              }),
              HasSubstr("crop_aspect"));
  EXPECT_THAT(error([](AugmentOptions& o) {
                o.low_resolution_side = {0.5f, 1.5f};
              }),
              HasSubstr("low_resolution_side is 1.5"));
  EXPECT_THAT(error([](AugmentOptions& o) { o.hue = 0.6f; }), HasSubstr("hue"));
  EXPECT_THROW(Augmenter(AugmentOptions{}, 0), DataError);
}

}  // namespace
}  // namespace diffprob::data
