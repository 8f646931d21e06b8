#include "eval/metrics/confidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

namespace diffprob::eval {
namespace {

/// P(|T| <= t) by adding up the density.
double mass_within(double t, double degrees) {
  const double factor = std::exp(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2)) /
                        std::sqrt(degrees * M_PI);
  const int steps = 200000;
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = t * (i + 0.5) / steps;
    sum += factor * std::pow(1 + x * x / degrees, -(degrees + 1) / 2);
  }
  return 2 * sum * t / steps;
}

TEST(Confidence, QuantilesHold95Percent) {
  for (const int degrees : {1, 2, 5, 9, 17, 30, 31, 40, 100, 1000})
    EXPECT_NEAR(mass_within(student_t_975(degrees), degrees), 0.95, 5e-5) << degrees;
  EXPECT_EQ(student_t_975(9.9), student_t_975(9));
  EXPECT_TRUE(std::isnan(student_t_975(0)));
}

TEST(Confidence, EstimateByHand) {
  const std::vector<double> values = {1, 2, 6};
  EXPECT_DOUBLE_EQ(estimate(values).mean, 3);
  EXPECT_DOUBLE_EQ(estimate(values).deviation, std::sqrt(7.0));
  EXPECT_TRUE(std::isnan(estimate(std::vector<double>{1}).deviation));
  EXPECT_TRUE(std::isnan(estimate({}).mean));
}

TEST(Confidence, PairedByHand) {
  const std::vector<double> a = {0.9, 0.8, 0.7},
                            b = {0.8, 0.8,
                                 0.5};  // differences 0.1, 0, 0.2: mean 0.1, deviation 0.1
  const Difference d = paired_difference(a, b);
  EXPECT_NEAR(d.mean, 0.1, 1e-12);
  EXPECT_NEAR(d.half_width, 4.303 * 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_FALSE(d.is_clear());
  EXPECT_THROW((void)paired_difference(a, std::vector<double>{1}), std::invalid_argument);
  EXPECT_THROW((void)paired_difference({}, {}), std::invalid_argument);
}

TEST(Confidence, WelchByHand) {
  const std::vector<double> a = {10, 12, 14},
                            b = {1, 2, 3, 4};  // variances 4 and 5/3: u = 4/3, v = 5/12
  const Difference d = independent_difference(a, b);
  const double u = 4.0 / 3, v = 5.0 / 12;
  const double degrees = (u + v) * (u + v) / (u * u / 2 + v * v / 3);  // 3.24
  EXPECT_NEAR(d.mean, 9.5, 1e-12);
  EXPECT_NEAR(d.half_width, student_t_975(degrees) * std::sqrt(u + v), 1e-12);
  EXPECT_TRUE(d.is_clear());
}

TEST(Confidence, OneValueOnASide) {
  const std::vector<double> many = {1, 2, 3}, one = {2};
  EXPECT_NEAR(independent_difference(many, one).half_width, 4.303 * std::sqrt(1 + 1.0 / 3), 1e-12);
  EXPECT_NEAR(independent_difference(one, many).half_width, 4.303 * std::sqrt(1 + 1.0 / 3), 1e-12);
  EXPECT_TRUE(std::isnan(independent_difference(one, one).half_width));
  EXPECT_FALSE(independent_difference(one, one).is_clear());
}

}  // namespace
}  // namespace diffprob::eval
