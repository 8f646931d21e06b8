// 5-point alignment: against Umeyama's algorithm by SVD, against numbers of numpy, and against a
// warp by loops.
#include "eval/ijb/align.h"

#include <cmath>
#include <random>
#include <vector>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>
#include <torch/types.h>

namespace diffprob::eval {
namespace {

Landmarks random_face(std::mt19937_64& random, double wobble) {
  std::uniform_real_distribution<double> unit(-1, 1);
  const double angle = 3 * unit(random), scale = std::exp(1.5 * unit(random));
  Landmarks face{};
  for (std::size_t i = 0; i < 5; ++i) {
    const double x = face_template()[2 * i] - 56, y = face_template()[2 * i + 1] - 72;
    face[2 * i] = static_cast<float>(scale * (std::cos(angle) * x - std::sin(angle) * y) + 90 +
                                     wobble * unit(random));
    face[2 * i + 1] = static_cast<float>(scale * (std::sin(angle) * x + std::cos(angle) * y) + 70 +
                                         wobble * unit(random));
  }
  return face;
}

/// Umeyama 1991, equations 38 to 42, with scale: covariance, SVD, and the sign that keeps a
/// reflection out. [2, 3] float64
at::Tensor umeyama(const Landmarks& from, const Landmarks& to) {
  const auto points = [](const Landmarks& l) {
    return torch::tensor(std::vector<double>(l.begin(), l.end()), at::kDouble).view({5, 2});
  };
  const auto x = points(from), y = points(to);
  const auto x_mean = x.mean(0), y_mean = y.mean(0);
  const auto covariance = (y - y_mean).t().mm(x - x_mean) / 5;
  const auto [u, d, vt] = at::linalg_svd(covariance);
  auto sign = torch::ones({2}, at::kDouble);
  if (at::linalg_det(covariance).item<double>() < 0) sign[1] = -1;
  const auto rotation = u.mm(at::diag(sign)).mm(vt);
  const double scale = ((d * sign).sum() / (x - x_mean).square().sum() * 5).item<double>();
  const auto shift = y_mean - scale * rotation.mv(x_mean);
  return at::cat({scale * rotation, shift.unsqueeze(1)}, 1);
}

TEST(Align, SimilarityIsUmeyamas) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 500; ++i) {
    const Landmarks face = random_face(random, i % 2 == 0 ? 4 : 60);

    const auto s = estimate_similarity(face, face_template());

    ASSERT_TRUE(s.has_value());
    const auto m = umeyama(face, face_template());
    const double got[2][3] = {{s->a, -s->b, s->tx}, {s->b, s->a, s->ty}};
    for (int r = 0; r < 2; ++r) {
      for (int c = 0; c < 3; ++c) ASSERT_NEAR(got[r][c], m[r][c].item<double>(), 1e-9) << i;
    }
  }
}

TEST(Align, NumbersOfNumpy) {
  // scikit-image's _umeyama(src, dst, True), written out in numpy 2 (float64, numpy.linalg.svd),
  // for the first lines of the golden file ijbc_name_5pts_score.txt and for a tilted face.
  struct Case {
    Landmarks points;
    double a, b, tx, ty;
  };
  const Case cases[] = {
      {{55.112F, 33.621F, 26.151F, 46.517F, 61.636F, 28.874F, 42.679F, 34.471F, 20.372F, 48.624F},
       -0.494630199039,
       -0.511172667587,
       56.7600082705,
       111.960368081},
      {{57.094F, 32.419F, 60.415F, 50.454F, 77.044F, 84.339F, 35.019F, 68.292F, 88.557F, 56.837F},
       0.53193686764,
       -0.0123576162213,
       21.4587231765,
       41.5856537557},
      {{35.931F, 42.754F, 24.015F, 38.834F, 69.118F, 43.508F, 66.284F, 39.867F, 69.803F, 20.898F},
       -0.260895157435,
       0.862701721745,
       101.930002979,
       35.8495846273},
      {{60.5F, 44.25F, 95.75F, 70.5F, 63.0F, 77.25F, 38.5F, 88.0F, 70.25F, 112.5F},
       0.673979771643,
       -0.430682084658,
       -21.9954569974,
       47.2461139296},
  };
  for (const Case& c : cases) {
    const auto s = estimate_similarity(c.points, face_template());
    ASSERT_TRUE(s.has_value());
    EXPECT_NEAR(s->a, c.a, 1e-6 * (1 + std::abs(c.a)));
    EXPECT_NEAR(s->b, c.b, 1e-6 * (1 + std::abs(c.b)));
    EXPECT_NEAR(s->tx, c.tx, 1e-6 * (1 + std::abs(c.tx)));
    EXPECT_NEAR(s->ty, c.ty, 1e-6 * (1 + std::abs(c.ty)));
  }
}

/// Bilinear, black outside: each pixel of the aligned picture looked up through the inverse.
double slow_pixel(const std::vector<std::uint8_t>& rgb, int width, int height, const Similarity& s,
                  int x, int y, int channel) {
  const double norm = s.a * s.a + s.b * s.b;
  const double u = (s.a * (x - s.tx) + s.b * (y - s.ty)) / norm,
               v = (-s.b * (x - s.tx) + s.a * (y - s.ty)) / norm;
  const int u0 = static_cast<int>(std::floor(u)), v0 = static_cast<int>(std::floor(v));
  const auto at = [&](int px, int py) {
    return px < 0 || py < 0 || px >= width || py >= height
               ? 0.0
               : 1.0 * rgb[static_cast<std::size_t>((py * width + px) * 3 + channel)];
  };
  const double fu = u - u0, fv = v - v0;
  return (1 - fv) * ((1 - fu) * at(u0, v0) + fu * at(u0 + 1, v0)) +
         fv * ((1 - fu) * at(u0, v0 + 1) + fu * at(u0 + 1, v0 + 1));
}

TEST(Align, WarpIsBilinearWithBlackOutside) {
  std::mt19937_64 random(9);
  for (const auto& [width, height] : {std::pair{180, 150}, {60, 200}}) {
    std::vector<std::uint8_t> rgb;
    for (int i = 0; i < width * height * 3; ++i)
      rgb.push_back(static_cast<std::uint8_t>(120 + 90 * std::sin(0.02 * (i / 3 % width)) *
                                                        std::cos(0.03 * (i / 3 / width) + i % 3)));
    const Landmarks face = random_face(random, 2);
    std::vector<std::uint8_t> out(kAlignedSize * kAlignedSize * 3, 7);

    ASSERT_TRUE(align_face(rgb, width, height, face, out));

    // OpenCV rounds positions to 1/32 of a pixel.
    const auto s = *estimate_similarity(face, face_template());
    int far_off = 0;
    for (int i = 0; i < kAlignedSize * kAlignedSize * 3; ++i) {
      const double want =
          slow_pixel(rgb, width, height, s, i / 3 % kAlignedSize, i / 3 / kAlignedSize, i % 3);
      far_off += std::abs(out[static_cast<std::size_t>(i)] - want) > 6 ? 1 : 0;
    }
    EXPECT_LT(far_off, 40) << "of "
                           << out.size();  // at the edge of the picture 1/32 of a pixel is more
  }
}

TEST(Align, PointsThatGiveNoSimilarity) {
  const std::vector<std::uint8_t> rgb(30 * 30 * 3, 50);
  std::vector<std::uint8_t> out(kAlignedSize * kAlignedSize * 3, 7);
  Landmarks same;
  same.fill(12);

  EXPECT_FALSE(align_face(rgb, 30, 30, same, out));

  EXPECT_EQ(out, std::vector<std::uint8_t>(out.size(), 7));
  EXPECT_THROW((void)align_face(rgb, 31, 30, same, out), c10::Error);
}

}  // namespace
}  // namespace diffprob::eval
