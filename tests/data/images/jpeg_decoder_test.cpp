#include "data/images/jpeg_decoder.h"

#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cstdlib>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "data/error.h"
#include "data/images/jpeg_tables.h"
#include "data/open_dataset.h"
#include "data/random/keyed_random.h"
#include "data/sets/dataset.h"
#include "data/sets/verification_set.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using Bytes = std::vector<std::byte>;
using Pixels = std::vector<std::uint8_t>;

/// Gradients, edges and noise: every part of a JPEG decoder has something to do.
Pixels make_picture(int width, int height, std::uint64_t key) {
  KeyedRandom random(key);
  Pixels rgb;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int edge = (x / 9 + y / 13) % 2 * 60;
      rgb.push_back(static_cast<std::uint8_t>(x * 2 % 190 + edge));
      rgb.push_back(static_cast<std::uint8_t>(y % 180 + edge));
      rgb.push_back(static_cast<std::uint8_t>(random.below(120) + 70));
    }
  }
  return rgb;
}

Bytes encode_with_opencv(int width, int height, const char* extension,
                         const std::vector<int>& parameters = {}) {
  Pixels rgb = make_picture(width, height, 3);
  const cv::Mat image(height, width, CV_8UC3, rgb.data());
  std::vector<std::uint8_t> file;
  EXPECT_TRUE(cv::imencode(extension, image, file, parameters));
  Bytes bytes(file.size());
  std::ranges::transform(file, bytes.begin(), [](std::uint8_t b) { return std::byte{b}; });
  return bytes;
}

/// What OpenCV makes of it, as RGB of the wanted size.
Pixels expected(Bytes encoded, int size) {
  const cv::Mat bgr = cv::imdecode(
      cv::Mat(1, static_cast<int>(encoded.size()), CV_8UC1, encoded.data()), cv::IMREAD_COLOR);
  EXPECT_FALSE(bgr.empty());
  cv::Mat rgb;
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  cv::Mat resized = rgb;
  if (rgb.cols != size || rgb.rows != size)
    cv::resize(rgb, resized, cv::Size(size, size), 0, 0, cv::INTER_LINEAR);
  return {resized.datastart, resized.dataend};
}

Pixels decoded(const Bytes& encoded, int size) {
  ImageDecoder decoder;
  Pixels out(static_cast<std::size_t>(size * size * 3), 1);
  decoder.decode(encoded, size, out.data());
  return out;
}

std::string reason(const Bytes& encoded, int size = 112) {
  return test::error_of([&] { decoded(encoded, size); });
}

/// Offset of the frame header's height, to forge it.
std::size_t jpeg_height_offset(const Bytes& jpeg) {
  for (std::size_t i = 0; i + 9 < jpeg.size(); ++i) {
    if (jpeg[i] == std::byte{0xff} && jpeg[i + 1] == std::byte{0xc0}) return i + 5;
  }
  ADD_FAILURE() << "no SOF0";
  return 0;
}

/// An EXIF block with one entry, the orientation, put right behind the start marker.
Bytes with_exif_orientation(const Bytes& jpeg, char orientation) {
  std::string exif(
      "\xff\xe1\x00\x22"
      "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0",
      28);
  exif += std::string{orientation, '\0', '\0', '\0'};
  exif += std::string(4, '\0');
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  for (const char c : exif) out.push_back(static_cast<std::byte>(c));
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

TEST(ImageDecoder, JpegEqualsOpenCvBitForBit) {
  for (const int quality : {20, 75, 95, 100}) {
    for (const int progressive : {0, 1}) {
      for (const int side : {112, 111, 64}) {  // 4:2:0: odd sides have a last half chroma column
        const Bytes jpeg = encode_with_opencv(
            side, side, ".jpg",
            {cv::IMWRITE_JPEG_QUALITY, quality, cv::IMWRITE_JPEG_PROGRESSIVE, progressive});
        EXPECT_EQ(decoded(jpeg, side), expected(jpeg, side))
            << quality << ' ' << progressive << ' ' << side;
      }
    }
  }
}

TEST(ImageDecoder, OwnEncoderIsReadByOpenCvAndCloseToTheOriginal) {
  const Pixels rgb = make_picture(112, 112, 9);

  const Bytes jpeg = encode_jpeg(rgb, 112, 112, 98);

  EXPECT_EQ(decoded(jpeg, 112), expected(jpeg, 112));
  const Pixels back = decoded(jpeg, 112);
  double error = 0.0;
  for (std::size_t i = 0; i < rgb.size(); ++i)
    error += std::abs(static_cast<double>(rgb[i]) - back[i]);
  EXPECT_LT(error / static_cast<double>(rgb.size()),
            2.0);  // channels swapped would give 40 and more
}

TEST(ImageDecoder, EncoderRefusesWrongSizes) {
  EXPECT_THROW((void)encode_jpeg(make_picture(8, 8, 1), 8, 9, 90), DataError);
  EXPECT_THROW((void)encode_jpeg({}, 0, 0, 90), DataError);
}

TEST(ImageDecoder, OtherSizesAreResizedAsOpenCvDoes) {
  for (const auto& [width, height] :
       {std::pair{250, 250}, {97, 131}, {112, 120}, {1, 1}, {30, 400}}) {
    for (const char* extension : {".jpg", ".png", ".bmp"}) {
      const Bytes file = encode_with_opencv(width, height, extension);
      EXPECT_EQ(decoded(file, 112), expected(file, 112)) << width << 'x' << height << extension;
    }
  }
}

TEST(ImageDecoder, PngAndBmpGiveTheExactPixels) {
  Pixels bgr = make_picture(112, 112, 3);
  for (std::size_t i = 0; i < bgr.size(); i += 3)
    std::swap(bgr[i], bgr[i + 2]);  // OpenCV encodes BGR
  EXPECT_EQ(decoded(encode_with_opencv(112, 112, ".png"), 112), bgr);
  EXPECT_EQ(decoded(encode_with_opencv(112, 112, ".bmp"), 112), bgr);
}

TEST(ImageDecoder, GreyJpegBecomesThreeEqualChannels) {
  Pixels grey(112 * 112);
  for (std::size_t i = 0; i < grey.size(); ++i) grey[i] = static_cast<std::uint8_t>(i * 7 % 251);
  std::vector<std::uint8_t> file;
  ASSERT_TRUE(cv::imencode(".jpg", cv::Mat(112, 112, CV_8UC1, grey.data()), file));
  Bytes jpeg(file.size());
  std::ranges::transform(file, jpeg.begin(), [](std::uint8_t b) { return std::byte{b}; });

  const Pixels rgb = decoded(jpeg, 112);

  EXPECT_EQ(rgb, expected(jpeg, 112));
  EXPECT_EQ(rgb[300], rgb[301]);
}

TEST(ImageDecoder, CmykJpegGoesThroughOpenCv) {
  std::vector<std::uint8_t> cmyk(48 * 48 * 4, 90);
  unsigned char* file = nullptr;
  unsigned long size = 0;
  const tjhandle turbo = tjInitCompress();
  ASSERT_EQ(tjCompress2(turbo, cmyk.data(), 48, 0, 48, TJPF_CMYK, &file, &size, TJSAMP_444, 90, 0),
            0);
  const auto* first = reinterpret_cast<const std::byte*>(file);
  const Bytes jpeg(first, first + size);
  tjFree(file);
  tjDestroy(turbo);
  EXPECT_EQ(decoded(jpeg, 48), expected(jpeg, 48));
}

/// Factors without a name in TurboJPEG; the files are named after those of the three components.
TEST(ImageDecoder, UnusualSamplingFactorsEqualOpenCvBitForBit) {
  const char* sources = std::getenv("DIFFPROB_SOURCE_DIR");
  if (sources == nullptr) GTEST_SKIP() << "DIFFPROB_SOURCE_DIR is not set";
  for (const auto* name : {"4x2_1x1_1x1", "2x2_1x1_2x1", "3x1_1x1_1x1", "1x4_1x1_1x1"}) {
    const auto file =
        std::string(sources) + "/tests/data/images/sampling/" + std::string(name) + ".jpg";
    const auto encoded = test::bytes_of(test::read_file(file));
    EXPECT_EQ(decoded(encoded, 48), expected(encoded, 48)) << name;
    EXPECT_EQ(decoded(encoded, 112), expected(encoded, 112)) << name;
    const Bytes half(encoded.begin(),
                     encoded.begin() + static_cast<std::ptrdiff_t>(encoded.size() - 300));
    EXPECT_NE(reason(half, 48).find("corrupted JPEG"), std::string::npos) << name;
  }
}

TEST(ImageDecoder, TiffGivesTheExactPixelsAndItsSidesAreLookedAtFirst) {
  auto encoded = encode_with_opencv(40, 30, ".tiff");
  EXPECT_EQ(decoded(encoded, 40), expected(encoded, 40));
  const std::size_t directory =
      std::to_integer<std::size_t>(encoded[4]) | std::to_integer<std::size_t>(encoded[5]) << 8;
  for (std::size_t entry = directory + 2; entry < directory + 2 + 2 * 12; entry += 12) {
    if (encoded[entry] != std::byte{0} || encoded[entry + 1] != std::byte{1}) continue;
    encoded[entry + 8] = encoded[entry + 9] = std::byte{0xff};  // the width
    EXPECT_NE(reason(encoded).find("image of 65535 x 30 pixels"), std::string::npos);
    return;
  }
  ADD_FAILURE() << "no width";
}

TEST(ImageDecoder, ExifOrientationIsObeyedAsInOpenCv) {
  const Bytes plain = encode_with_opencv(64, 64, ".jpg");
  const Bytes turned = with_exif_orientation(plain, 6);
  ASSERT_NE(expected(turned, 64), expected(plain, 64));
  EXPECT_EQ(decoded(turned, 64), expected(turned, 64));
  EXPECT_EQ(decoded(with_exif_orientation(plain, 1), 64), expected(plain, 64));
}

TEST(ImageDecoder, EveryTruncationOfAJpegIsAnError) {
  const Bytes jpeg = encode_with_opencv(64, 64, ".jpg");
  for (std::size_t length = 0; length < jpeg.size(); length += length + 64 < jpeg.size() ? 7 : 1) {
    EXPECT_FALSE(
        reason({jpeg.begin(), jpeg.begin() + static_cast<std::ptrdiff_t>(length)}, 64).empty())
        << length;
  }
}

TEST(ImageDecoder, TruncatedPngIsAnError) {
  const Bytes png = encode_with_opencv(64, 64, ".png");
  for (const std::size_t length :
       {std::size_t{8}, std::size_t{20}, png.size() / 4, png.size() / 2}) {
    EXPECT_FALSE(
        reason({png.begin(), png.begin() + static_cast<std::ptrdiff_t>(length)}, 64).empty())
        << length;
  }
}

TEST(ImageDecoder, StrayBytesBeforeTheEndMarkerHarmNothing) {
  const Bytes jpeg = encode_with_opencv(64, 64, ".jpg");
  Bytes stray = jpeg;
  stray.insert(stray.end() - 2, 5, std::byte{0x11});
  EXPECT_EQ(decoded(stray, 64), decoded(jpeg, 64));
}

TEST(ImageDecoder, AbsurdSidesAreRefusedBeforeDecoding) {
  Bytes jpeg = encode_with_opencv(64, 64, ".jpg");
  const std::size_t at = jpeg_height_offset(jpeg);
  jpeg[at] = std::byte{0x60};  // the low byte stays 64
  EXPECT_NE(reason(jpeg).find("64 x 24640"), std::string::npos) << reason(jpeg);

  Bytes png = encode_with_opencv(64, 64, ".png");
  png[17] = std::byte{0x10};
  EXPECT_NE(reason(png).find("1048640 x 64"), std::string::npos) << reason(png);

  Bytes bmp = encode_with_opencv(64, 64, ".bmp");
  bmp[24] = std::byte{0x7f};
  EXPECT_NE(reason(bmp).find("64 x"), std::string::npos) << reason(bmp);
}

TEST(ImageDecoder, GarbageIsNamed) {
  EXPECT_NE(reason({}).find("not an image: 0 bytes"), std::string::npos);
  EXPECT_NE(reason(test::bytes_of("<html>")).find("3c68746d6c3e"), std::string::npos);
  EXPECT_FALSE(reason(test::bytes_of("\xff\xd8\xff\xe0 and nothing more")).empty());
  EXPECT_FALSE(reason(test::bytes_of("\x89PNG\r\n\x1a\n")).empty());
  EXPECT_FALSE(reason(test::bytes_of("BM")).empty());
}

TEST(ImageDecoder, DamagedFilesDecodeOrThrowAndTheDecoderLivesOn) {
  const Bytes files[] = {encode_with_opencv(48, 48, ".jpg"), encode_with_opencv(48, 48, ".png"),
                         encode_with_opencv(48, 48, ".bmp")};
  const Pixels clean = decoded(files[0], 48);
  KeyedRandom random(17);
  ImageDecoder decoder;
  Pixels out(48 * 48 * 3);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    Bytes damaged = files[i % 3];
    for (std::uint64_t hits = 1 + random.below(4); hits > 0; --hits)
      damaged[random.below(damaged.size())] = std::byte(random.below(256));
    try {
      decoder.decode(damaged, 48, out.data());
    } catch (const DataError&) {
      ++refused;
      decoder.decode(files[0], 48, out.data());
      ASSERT_EQ(out, clean) << i;  // TurboJPEG keeps half a header after an error
    }
  }
  EXPECT_GT(refused, 50);
  EXPECT_LT(refused, 1500);
}

TEST(ImageDecoder, RealFacesEqualOpenCvBitForBit) {
  if (test::test_data().empty())
    GTEST_SKIP() << "DIFFPROB_TEST_DATA is not set (folder with data/lfw)";
  const auto lfw = open_dataset(test::test_data() + "/data/lfw");
  Bytes bytes;
  for (std::int64_t i = 0; i < lfw->size(); i += 5) {
    lfw->read(i, bytes);
    ASSERT_EQ(decoded(bytes, 112), expected(bytes, 112)) << lfw->describe(i);
  }
  const VerificationSet pairs = read_verification_bin(test::test_data() + "/data/lfw/lfw_dev.bin");
  for (std::size_t i = 0; i < pairs.images.size(); i += 9)
    ASSERT_EQ(decoded(pairs.images[i], 112), expected(pairs.images[i], 112)) << i;
}

/// Without the segment of that marker (0xdb: quantisation, 0xc4: Huffman tables), the first or all
/// of them.
Bytes without_segments(const Bytes& jpeg, unsigned marker, bool all) {
  Bytes rest(jpeg.begin(), jpeg.begin() + 2);
  std::size_t at = 2;
  bool removed = false;
  while (jpeg[at + 1] != std::byte{0xda}) {
    const auto length = 2 + (std::to_integer<std::size_t>(jpeg[at + 2]) << 8 |
                             std::to_integer<std::size_t>(jpeg[at + 3]));
    const bool drop = jpeg[at + 1] == std::byte(marker) && (all || !removed);
    removed = removed || drop;
    if (!drop)
      rest.insert(rest.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at),
                  jpeg.begin() + static_cast<std::ptrdiff_t>(at + length));
    at += length;
  }
  rest.insert(rest.end(), jpeg.begin() + static_cast<std::ptrdiff_t>(at), jpeg.end());
  return rest;
}

/// Pixels, or nothing when it does not decode.
Pixels decoded_or_none(ImageDecoder& decoder, const Bytes& jpeg) {
  Pixels rgb(112 * 112 * 3);
  try {
    decoder.decode(jpeg, 112, rgb.data());
  } catch (const DataError&) {
    return {};
  }
  return rgb;
}

TEST(JpegDecoder, NeverUsesTheTablesOfTheImageBefore) {
  const Bytes before = encode_with_opencv(
      112, 112, ".jpg", {cv::IMWRITE_JPEG_QUALITY, 20, cv::IMWRITE_JPEG_OPTIMIZE, 1});
  for (const bool optimised : {false, true}) {
    const Bytes whole = encode_with_opencv(
        112, 112, ".jpg", {cv::IMWRITE_JPEG_QUALITY, 97, cv::IMWRITE_JPEG_OPTIMIZE, optimised});
    EXPECT_TRUE(brings_its_tables(whole));
    for (const unsigned marker : {0xdbu, 0xc4u}) {
      for (const bool all : {false, true}) {
        const Bytes bare = without_segments(whole, marker, all);
        ASSERT_LT(bare.size(), whole.size());
        EXPECT_FALSE(brings_its_tables(bare));
        ImageDecoder fresh;
        ImageDecoder used;
        ASSERT_FALSE(decoded_or_none(used, before).empty());

        EXPECT_EQ(decoded_or_none(used, bare), decoded_or_none(fresh, bare))
            << "marker " << marker << ", all " << all;
        if (marker == 0xdb) {
          EXPECT_TRUE(decoded_or_none(used, bare).empty());
        }
      }
    }
  }
}

/// Any cut, any byte: no read beyond the end (for the sanitizers).
TEST(JpegTables, ReadNothingBeyondTheImage) {
  const Bytes whole = encode_with_opencv(40, 40, ".jpg");
  for (std::size_t size = 0; size < 700 && size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    static_cast<void>(brings_its_tables(cut));
    Bytes changed = whole;
    changed[size] = std::byte{0xff};
    static_cast<void>(brings_its_tables(changed));
  }
}

}  // namespace
}  // namespace diffprob::data
