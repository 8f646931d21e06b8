#include "eval/metrics/verification_curves.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace diffprob::eval {
namespace {

TEST(VerificationCurves, CountsAndRatesByLookingAtAllPairs) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> unit(0, 1);
  std::vector<double> distances;
  std::vector<bool> same;
  for (int i = 0; i < 3000; ++i) {
    same.push_back(i % 3 == 0);
    distances.push_back(
        std::floor(400 * std::min(1.0, 0.8 * unit(random) + (same.back() ? 0 : 0.2))) /
        100);  // ties
  }

  const VerificationCurves curves = verification_curves(distances, same);

  std::int64_t genuine = 0, impostor = 0;
  for (std::size_t k = 0; k < VerificationCurves::kBins; ++k) {
    genuine += curves.genuine[k];
    impostor += curves.impostor[k];
  }
  EXPECT_EQ(genuine, 1000);
  EXPECT_EQ(impostor, 2000);
  ASSERT_EQ(curves.far.size(), curves.tar.size());
  EXPECT_DOUBLE_EQ(curves.far.front(), 1.0 / 2000);
  EXPECT_DOUBLE_EQ(curves.far.back(), 1);
  EXPECT_DOUBLE_EQ(curves.tar.back(), 1);
  for (std::size_t k = 0; k < curves.far.size(); ++k) {
    EXPECT_TRUE(k == 0 || curves.far[k] > curves.far[k - 1]);
    double best = 0;
    for (int step = 0; step <= 401; ++step) {  // every threshold between the distances that occur
      const double threshold = (step - 0.5) / 100;
      double accepted = 0, falsely = 0;
      for (std::size_t i = 0; i < distances.size(); ++i)
        (same[i] ? accepted : falsely) += distances[i] < threshold ? 1 : 0;
      if (falsely / 2000 <= curves.far[k]) best = std::max(best, accepted / 1000);
    }
    EXPECT_DOUBLE_EQ(curves.tar[k], best) << curves.far[k];
  }
}

TEST(VerificationCurves, EndsOfTheScale) {
  const VerificationCurves curves =
      verification_curves(std::vector<double>{0, 4, 2, 4.0000001}, {true, false, false, false});
  EXPECT_EQ(curves.genuine[99], 1);
  EXPECT_EQ(curves.impostor[0], 2);
  EXPECT_EQ(curves.impostor[50], 1);
}

TEST(VerificationCurves, OneKindHasNoRates) {
  EXPECT_TRUE(verification_curves(std::vector<double>{1, 2}, {true, true}).far.empty());
  EXPECT_TRUE(verification_curves(std::vector<double>{1, 2}, {false, false}).far.empty());
  EXPECT_TRUE(verification_curves({}, {}).far.empty());
}

}  // namespace
}  // namespace diffprob::eval
