#include "data/error.h"
#include "data/images/opencv_decoder.h"

namespace diffprob::data {

cv::Mat decode_with_opencv(std::span<const std::byte> /*encoded*/) {
  throw DataError(
      "this build (DIFFPROB_WITH_IMGCODECS=OFF, as in the bundle) reads only greyscale or YCbCr "
      "JPEG without EXIF rotation, and this image is of another kind (PNG, BMP, WebP, TIFF, CMYK "
      "or "
      "rotated JPEG): convert it, or use a build with DIFFPROB_WITH_IMGCODECS=ON");
}

}  // namespace diffprob::data
