#include "eval/ijb/align.h"

#include <cmath>
#include <complex>

#include <c10/util/Exception.h>
#include <opencv2/imgproc.hpp>

namespace diffprob::eval {
namespace {

constexpr std::size_t kPoints = 5;
using Plane = std::array<std::complex<double>, kPoints>;

/// Points as complex numbers around their mean, which is returned.
std::complex<double> centre(const Landmarks& landmarks, Plane& points) {
  std::complex<double> mean = 0;
  for (std::size_t i = 0; i < kPoints; ++i) {
    points[i] = {landmarks[2 * i], landmarks[2 * i + 1]};
    mean += points[i] / static_cast<double>(kPoints);
  }
  for (auto& point : points) point -= mean;
  return mean;
}

}  // namespace

const Landmarks& face_template() {
  static const Landmarks points = {38.2946F, 51.6963F, 73.5318F, 51.5014F, 56.0252F,
                                   71.7366F, 41.5493F, 92.3655F, 70.7299F, 92.2041F};
  return points;
}

std::optional<Similarity> estimate_similarity(const Landmarks& from, const Landmarks& to) {
  Plane x, y;
  const auto x_mean = centre(from, x);
  const auto y_mean = centre(to, y);
  // Minimises sum |y - c x|^2 over complex c: |c| is the scale, arg c the angle.
  std::complex<double> products = 0;
  double spread = 0;
  for (std::size_t i = 0; i < kPoints; ++i) {
    products += std::conj(x[i]) * y[i];
    spread += std::norm(x[i]);
  }
  const std::complex<double> c = products / spread;
  if (!(spread > 0) || !std::isfinite(c.real()) || !std::isfinite(c.imag()) || std::norm(c) < 1e-12)
    return std::nullopt;
  const std::complex<double> shift = y_mean - c * x_mean;
  return Similarity{c.real(), c.imag(), shift.real(), shift.imag()};
}

bool align_face(std::span<const std::uint8_t> rgb, int width, int height,
                const Landmarks& landmarks, std::span<std::uint8_t> out) {
  TORCH_CHECK(rgb.size() == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3,
              "align: ", rgb.size(), " bytes are not an RGB image of ", width, " x ", height);
  TORCH_CHECK(out.size() == std::size_t{kAlignedSize} * kAlignedSize * 3, "align: room for ",
              out.size(), " bytes");
  const auto s = estimate_similarity(landmarks, face_template());
  if (!s) return false;
  const cv::Mat picture(height, width, CV_8UC3, const_cast<std::uint8_t*>(rgb.data()));
  cv::Mat aligned(kAlignedSize, kAlignedSize, CV_8UC3, out.data());
  const cv::Matx23d matrix(s->a, -s->b, s->tx, s->b, s->a, s->ty);
  cv::warpAffine(picture, aligned, matrix, aligned.size(), cv::INTER_LINEAR, cv::BORDER_CONSTANT,
                 cv::Scalar::all(0));
  return true;
}

}  // namespace diffprob::eval
