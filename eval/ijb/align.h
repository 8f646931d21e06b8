#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace diffprob::eval {

/// Five points x1, y1, .. x5, y5 in pixels: eyes, nose, corners of the mouth.
using Landmarks = std::array<float, 10>;

/// (x, y) -> (a x - b y + tx, b x + a y + ty): rotation, scale and shift, no reflection.
struct Similarity {
  double a = 1;
  double b = 0;
  double tx = 0;
  double ty = 0;
};

/// Where the landmarks of a face belong in an aligned picture of 112 x 112 (InsightFace's
/// template).
[[nodiscard]] const Landmarks& face_template();

/// The similarity that takes `from` nearest to `to`, least squares: Umeyama's solution without
/// reflection, as skimage's SimilarityTransform.estimate gives it, which in the plane is a complex
/// linear regression. Nothing when the points of `from` coincide or the scale would be zero.
[[nodiscard]] std::optional<Similarity> estimate_similarity(const Landmarks& from,
                                                            const Landmarks& to);

/// Warps an RGB picture [height, width, 3] so that its landmarks lie on face_template(): out [112 *
/// 112 * 3], bilinear, black outside (cv::warpAffine, as the reference). False, with `out`
/// untouched, when the landmarks give no similarity.
[[nodiscard]] bool align_face(std::span<const std::uint8_t> rgb, int width, int height,
                              const Landmarks& landmarks, std::span<std::uint8_t> out);

inline constexpr int kAlignedSize = 112;

}  // namespace diffprob::eval
