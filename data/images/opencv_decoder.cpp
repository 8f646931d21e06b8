#include "data/images/opencv_decoder.h"

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>

#include "data/error.h"

namespace diffprob::data {

cv::Mat decode_with_opencv(std::span<const std::byte> encoded) {
  try {
    const cv::Mat raw(1, static_cast<int>(encoded.size()), CV_8UC1,
                      const_cast<std::byte*>(encoded.data()));
    const cv::Mat bgr = cv::imdecode(raw, cv::IMREAD_COLOR);
    if (bgr.empty()) throw DataError("the image cannot be decoded (corrupted or truncated)");
    cv::Mat rgb;
    cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
    return rgb;
  } catch (const cv::Exception& e) {
    throw DataError(std::string("the image cannot be decoded: ") + e.what());
  }
}

}  // namespace diffprob::data
