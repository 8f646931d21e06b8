#pragma once

#include <cstddef>
#include <opencv2/core.hpp>
#include <span>

namespace diffprob::data {

/// Decodes with OpenCV's imgcodecs: what TurboJPEG does not read (PNG, BMP, WebP; JPEG in CMYK, or
/// turned by its EXIF block).
/// @return [height, width] of 8-bit RGB, rows top down.
/// @throws DataError when the image cannot be decoded, and always in a build with
/// DIFFPROB_WITH_IMGCODECS=OFF (opencv_decoder_absent.cpp).
[[nodiscard]] cv::Mat decode_with_opencv(std::span<const std::byte> encoded);

}  // namespace diffprob::data
