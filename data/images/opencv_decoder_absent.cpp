#include "data/error.h"
#include "data/images/opencv_decoder.h"

namespace diffprob::data {

cv::Mat decode_with_opencv(std::span<const std::byte> /*encoded*/) {
  throw DataError(
      "only JPEG in greyscale or YCbCr, not turned by an EXIF block, is read by this build "
      "(DIFFPROB_WITH_IMGCODECS=OFF, as in the "
      "bundle), and "
      "this image is another kind (PNG, BMP, WebP, CMYK or turned JPEG): save it as such a JPEG, "
      "or use a build with "
      "DIFFPROB_WITH_IMGCODECS=ON");
}

}  // namespace diffprob::data
