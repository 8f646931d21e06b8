#include "data/images/jpeg_decoder.h"

#include <turbojpeg.h>

#include <array>
#include <cstring>
#include <memory>
#include <opencv2/imgproc.hpp>

#include "data/error.h"
#include "data/images/exif.h"
#include "data/images/image_format.h"
#include "data/images/jpeg_tables.h"
#include "data/images/opencv_decoder.h"

namespace diffprob::data {
namespace {

constexpr int kMaxSide = 16384;
constexpr int kChannels = 3;
// The slow, exact integer DCT and the accurate chroma upsampling: what libjpeg (hence OpenCV) does
// by default, bit for bit.
constexpr int kExactFlags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;

void check_sides(std::int64_t width, std::int64_t height) {
  if (width >= 1 && height >= 1 && width <= kMaxSide && height <= kMaxSide) return;
  throw DataError("image of " + std::to_string(width) + " x " + std::to_string(height) +
                  " pixels: sides from 1 to " + std::to_string(kMaxSide) + " are supported");
}

/// A few stray bytes between the last scan and the end marker harm no pixel; every other complaint
/// (truncation above all) does.
bool harmless_warning(tjhandle turbo) {
  return tjGetErrorCode(turbo) == TJERR_WARNING &&
         std::strstr(tjGetErrorStr2(turbo), "extraneous bytes before marker 0xd9") != nullptr;
}

void copy_resized(const cv::Mat& rgb, int size, std::uint8_t* out) {
  cv::Mat target(size, size, CV_8UC3, out);
  if (rgb.cols == size && rgb.rows == size) {
    rgb.copyTo(target);
  } else {
    cv::resize(rgb, target, target.size(), 0, 0, cv::INTER_LINEAR);
  }
}

cv::Mat decode_other(std::span<const std::byte> encoded) {
  cv::Mat rgb = decode_with_opencv(encoded);
  check_sides(rgb.cols, rgb.rows);
  return rgb;
}

void decode_other(std::span<const std::byte> encoded, int size, std::uint8_t* out) {
  copy_resized(decode_other(encoded), size, out);
}

void decode_other(std::span<const std::byte> encoded, DecodedImage& image) {
  const cv::Mat rgb = decode_other(encoded);
  image.width = rgb.cols;
  image.height = rgb.rows;
  image.rgb.assign(rgb.datastart, rgb.dataend);
}

std::string hex_head(std::span<const std::byte> bytes) {
  static constexpr std::array<char, 17> kDigits{"0123456789abcdef"};
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(8, bytes.size()); ++i) {
    const auto value = std::to_integer<std::size_t>(bytes[i]);
    text += {kDigits[value >> 4], kDigits[value & 15]};
  }
  return text;
}

/// Of an image that is understood, with sides that are not absurd: looked at before anything is
/// allocated for them.
ImageFormat checked_format(std::span<const std::byte> encoded) {
  const ImageFormat format = format_of(encoded);
  if (format == ImageFormat::kUnknown) {
    throw DataError("not an image: " + std::to_string(encoded.size()) + " bytes that begin with '" +
                    hex_head(encoded) + "'; JPEG, PNG, BMP, WebP and TIFF are supported");
  }
  if (const auto sides = declared_sides(encoded, format)) check_sides(sides->width, sides->height);
  return format;
}

struct JpegHeader {
  int width = 0;
  int height = 0;
  int colours = 0;

  [[nodiscard]] bool for_opencv() const { return colours == TJCS_CMYK || colours == TJCS_YCCK; }
};

/// Sampling factors without a name in TurboJPEG (4:1:0, 3x1, mixed ones): a sound image. The header
/// call complains only after it has read everything, and decoding does not ask for the name.
bool unnamed_sampling(tjhandle turbo) {
  return std::strstr(tjGetErrorStr2(turbo), "Could not determine subsampling") != nullptr;
}

JpegHeader read_jpeg_header(tjhandle turbo, std::span<const std::byte> encoded) {
  JpegHeader header;
  int subsampling = 0;
  if (tjDecompressHeader3(turbo, reinterpret_cast<const unsigned char*>(encoded.data()),
                          encoded.size(), &header.width, &header.height, &subsampling,
                          &header.colours) != 0 &&
      !unnamed_sampling(turbo)) {
    throw DataError(std::string("corrupted JPEG header: ") + tjGetErrorStr2(turbo));
  }
  check_sides(header.width, header.height);
  return header;
}

void decompress(tjhandle turbo, std::span<const std::byte> encoded, const JpegHeader& header,
                std::uint8_t* rgb) {
  const int rc = tjDecompress2(turbo, reinterpret_cast<const unsigned char*>(encoded.data()),
                               encoded.size(), rgb, header.width, header.width * kChannels,
                               header.height, TJPF_RGB, kExactFlags);
  if (rc != 0 && !harmless_warning(turbo))
    throw DataError(std::string("corrupted JPEG: ") + tjGetErrorStr2(turbo));
}

}  // namespace

ImageDecoder::ImageDecoder() : turbo_(tjInitDecompress()) {
  if (turbo_ == nullptr)
    throw DataError(std::string("TurboJPEG cannot be initialised: ") + tjGetErrorStr2(nullptr));
}

ImageDecoder::~ImageDecoder() {
  tjDestroy(turbo_);
}

void ImageDecoder::decode(std::span<const std::byte> encoded, int size, std::uint8_t* out) {
  if (checked_format(encoded) != ImageFormat::kJpeg) return decode_other(encoded, size, out);
  try {
    decode_jpeg(encoded, size, out);
  } catch (...) {
    restart();
    throw;
  }
}

void ImageDecoder::decode(std::span<const std::byte> encoded, DecodedImage& image) {
  if (checked_format(encoded) != ImageFormat::kJpeg) return decode_other(encoded, image);
  try {
    if (!decode_whole_jpeg(encoded, image)) decode_other(encoded, image);
  } catch (...) {
    restart();
    throw;
  }
}

/// After an error the handle would go on in the middle of the bad image's header and spoil the
/// next, good one.
void ImageDecoder::restart() {
  tjDestroy(turbo_);
  turbo_ = tjInitDecompress();
  if (turbo_ == nullptr)
    throw DataError(std::string("TurboJPEG cannot be initialised: ") + tjGetErrorStr2(nullptr));
}

bool ImageDecoder::decode_whole_jpeg(std::span<const std::byte> encoded, DecodedImage& image) {
  if (!brings_its_tables(encoded)) restart();  // never with the tables of the image before
  const JpegHeader header = read_jpeg_header(turbo_, encoded);
  if (header.for_opencv()) return false;
  image.width = header.width;
  image.height = header.height;
  image.rgb.resize(static_cast<std::size_t>(header.width) *
                   static_cast<std::size_t>(header.height) * kChannels);
  decompress(turbo_, encoded, header, image.rgb.data());
  return !may_need_turning(encoded);
}

void ImageDecoder::decode_jpeg(std::span<const std::byte> encoded, int size, std::uint8_t* out) {
  if (!brings_its_tables(encoded)) restart();  // never with the tables of the image before
  const JpegHeader header = read_jpeg_header(turbo_, encoded);
  if (header.for_opencv()) return decode_other(encoded, size, out);
  const bool direct = header.width == size && header.height == size;
  if (!direct)
    scratch_.resize(static_cast<std::size_t>(header.width) *
                    static_cast<std::size_t>(header.height) * kChannels);
  std::uint8_t* const rgb = direct ? out : scratch_.data();
  decompress(turbo_, encoded, header, rgb);
  // Decoded above all the same: OpenCV says nothing of truncation.
  if (may_need_turning(encoded)) return decode_other(encoded, size, out);
  if (!direct) copy_resized(cv::Mat(header.height, header.width, CV_8UC3, rgb), size, out);
}

std::vector<std::byte> encode_jpeg(std::span<const std::uint8_t> rgb, int width, int height,
                                   int quality) {
  check_sides(width, height);
  if (rgb.size() !=
      static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * kChannels) {
    throw DataError("an RGB image of " + std::to_string(width) + " x " + std::to_string(height) +
                    " cannot have " + std::to_string(rgb.size()) + " bytes");
  }
  const auto destroy = [](void* handle) { tjDestroy(handle); };
  const std::unique_ptr<void, decltype(destroy)> turbo(tjInitCompress(), destroy);
  if (turbo == nullptr)
    throw DataError(std::string("TurboJPEG cannot be initialised: ") + tjGetErrorStr2(nullptr));
  // TurboJPEG writes into our memory (NOREALLOC): nothing of its own to free when something throws.
  std::vector<std::byte> jpeg(tjBufSize(width, height, TJSAMP_444));
  auto* target = reinterpret_cast<unsigned char*>(jpeg.data());
  unsigned long bytes = jpeg.size();
  if (tjCompress2(turbo.get(), rgb.data(), width, width * kChannels, height, TJPF_RGB, &target,
                  &bytes, TJSAMP_444, quality, TJFLAG_ACCURATEDCT | TJFLAG_NOREALLOC) != 0) {
    throw DataError(std::string("JPEG encoding failed: ") + tjGetErrorStr2(turbo.get()));
  }
  jpeg.resize(bytes);
  jpeg.shrink_to_fit();
  return jpeg;
}

}  // namespace diffprob::data
