#include "eval/metrics/confidence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <stdexcept>
#include <vector>

namespace diffprob::eval {
namespace {

constexpr double kTwoDegrees = 4.302652729749464;  // 0.95 * sqrt(2 / (4 * 0.975 * 0.025))

/// P(|T| < t) the slow, obvious way: Simpson's rule on the density.
double slow_probability(double t, double v) {
  constexpr int kSteps = 200000;  // even
  const double factor =
      std::exp(std::lgamma((v + 1) / 2) - std::lgamma(v / 2)) / std::sqrt(v * std::numbers::pi);
  const auto density = [&](double x) { return factor * std::pow(1 + x * x / v, -(v + 1) / 2); };
  const double width = t / kSteps;
  double sum = density(0) + density(t);
  for (int i = 1; i < kSteps; ++i) sum += (i % 2 == 1 ? 4 : 2) * density(i * width);
  return 2 * sum * width / 3;
}

/// The quantile by bisection of slow_probability.
double slow_quantile(double v) {
  double low = 1.9, high = 13;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (slow_probability(middle, v) < 0.95 ? low : high) = middle;
  }
  return low;
}

void expect_quantile(double degrees_of_freedom, double want) {
  EXPECT_NEAR(student_t_975(degrees_of_freedom) / want, 1, 1e-10) << degrees_of_freedom;
}

TEST(Student, QuantilesAreThoseOfScipy) {
  // scipy.stats.t.ppf(0.975, df)
  expect_quantile(1, 12.706204736432095);
  expect_quantile(1.5, 6.0166631044);
  expect_quantile(2, 4.302652729696142);
  expect_quantile(3, 3.182446305284263);
  expect_quantile(3.5, 2.9400886380);
  expect_quantile(8.25, 2.2938972084);
  expect_quantile(10, 2.228138851964939);
  expect_quantile(30, 2.0422724563012373);
  expect_quantile(120, 1.979930405052777);
  expect_quantile(198, 1.9720174778);
}

TEST(Student, QuantilesHaveClosedForms) {
  const double p = 0.975;
  expect_quantile(1, std::tan(std::numbers::pi * (p - 0.5)));
  expect_quantile(2, (2 * p - 1) * std::sqrt(2 / (4 * p * (1 - p))));
}

TEST(Student, FractionalDegreesAgreeWithSlowIntegration) {
  for (const double v : {1.01, 1.7, 2.9, 7.9})
    EXPECT_NEAR(student_t_975(v) / slow_quantile(v), 1, 1e-9) << v;
  for (const double v : {0.7, 3.3, 40.0, 999.0})
    EXPECT_NEAR(slow_probability(student_t_975(v), v), 0.95, 1e-9) << v;
}

TEST(Student, FewDegreesFollowThePowerLawOfTheTail) {
  // P(|T| > t) -> 2 C v^((v - 1) / 2) t^-v, C the factor of the density.
  for (const double v : {0.01, 0.05, 0.1}) {
    const double log_factor =
        std::lgamma((v + 1) / 2) - std::lgamma(v / 2) - std::log(v * std::numbers::pi) / 2;
    const double log_t = (std::log(2 / 0.05) + log_factor + (v - 1) / 2 * std::log(v)) / v;
    EXPECT_NEAR(std::log(student_t_975(v)), log_t, 1e-9 * log_t) << v;
  }
  EXPECT_TRUE(std::isinf(student_t_975(1e-4)));
}

TEST(Student, ManyDegreesApproachTheNormalDistribution) {
  expect_quantile(1e12, 1.959963984540054);
  EXPECT_NEAR(student_t_975(1e6), 1.959963984540054, 3e-6);
  EXPECT_GT(student_t_975(1e6), 1.959963984540054);
  EXPECT_NEAR(student_t_975(1000) / student_t_975(std::nextafter(1000, 2000)), 1, 1e-11);
}

TEST(Student, NoDegreesNoQuantile) {
  EXPECT_TRUE(std::isnan(student_t_975(0)));
  EXPECT_TRUE(std::isnan(student_t_975(-1)));
  EXPECT_TRUE(std::isnan(student_t_975(std::nan(""))));
}

TEST(Estimate, ByHand) {
  const std::vector<double> values = {1, 2, 6};
  EXPECT_DOUBLE_EQ(estimate(values).mean, 3);
  EXPECT_DOUBLE_EQ(estimate(values).deviation, std::sqrt(7.0));
  EXPECT_TRUE(std::isnan(estimate(std::vector<double>{1}).deviation));
  EXPECT_TRUE(std::isnan(estimate({}).mean));
}

TEST(MeanInterval, ByHand) {
  const Interval interval = mean_interval(std::vector<double>{0.90, 0.92, 0.94});  // deviation 0.02

  EXPECT_NEAR(interval.mean, 0.92, 1e-15);
  EXPECT_EQ(interval.degrees_of_freedom, 2);
  EXPECT_NEAR(*interval.half_width, kTwoDegrees * 0.02 / std::sqrt(3.0), 1e-12);
  EXPECT_FALSE(mean_interval(std::vector<double>{0.9}).half_width);
  EXPECT_THROW((void)mean_interval({}), std::invalid_argument);
}

TEST(PairedDifference, ByHand) {
  // Differences 0.1, 0, 0.2: mean 0.1, deviation 0.1.
  const std::vector<double> a = {0.9, 0.8, 0.7}, b = {0.8, 0.8, 0.5};
  const Interval d = paired_difference(a, b);
  EXPECT_NEAR(d.mean, 0.1, 1e-12);
  EXPECT_NEAR(*d.half_width, kTwoDegrees * 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_FALSE(d.is_clear());
  EXPECT_THROW((void)paired_difference(a, std::vector<double>{1}), std::invalid_argument);
  EXPECT_THROW((void)paired_difference({}, {}), std::invalid_argument);
}

TEST(IndependentDifference, WelchByHand) {
  // Variances 4 and 5/3: squared errors u = 4/3, v = 5/12.
  const std::vector<double> a = {10, 12, 14}, b = {1, 2, 3, 4};
  const double u = 4.0 / 3, v = 5.0 / 12;
  const double degrees = (u + v) * (u + v) / (u * u / 2 + v * v / 3);  // 3.24

  const Interval d = independent_difference(a, b);

  EXPECT_NEAR(d.mean, 9.5, 1e-12);
  EXPECT_NEAR(d.degrees_of_freedom, degrees, 1e-12);
  EXPECT_NEAR(*d.half_width, slow_quantile(degrees) * std::sqrt(u + v), 1e-8);
  EXPECT_TRUE(d.is_clear());
}

TEST(IndependentDifference, IsThatOfScipy) {
  const std::vector<double> a = {0.912, 0.934, 0.921, 0.918, 0.929},
                            b = {0.905, 0.901, 0.917, 0.889};

  const Interval d = independent_difference(a, b);

  // scipy.stats.ttest_ind(a, b, equal_var=False): df, confidence_interval(0.95)
  EXPECT_NEAR(d.degrees_of_freedom, 5.5197982413, 1e-8);
  EXPECT_NEAR(d.mean - *d.half_width, 0.002362261918, 1e-10);
  EXPECT_NEAR(d.mean + *d.half_width, 0.037237738082, 1e-10);
}

TEST(IndependentDifference, OneValueOnASide) {
  const std::vector<double> many = {1, 2, 3}, one = {2};
  const double want = kTwoDegrees * std::sqrt(1 + 1.0 / 3);
  EXPECT_NEAR(*independent_difference(many, one).half_width, want, 1e-12);
  EXPECT_NEAR(*independent_difference(one, many).half_width, want, 1e-12);
  EXPECT_FALSE(independent_difference(one, one).half_width);
  EXPECT_FALSE(independent_difference(one, one).is_clear());
  EXPECT_THROW((void)independent_difference(one, {}), std::invalid_argument);
}

TEST(Interval, WithoutSpreadNothingIsClear) {
  const std::vector<double> a = {0.9, 0.9}, b = {0.8, 0.8}, one = {0.8};
  for (const Interval& d : {independent_difference(a, b), independent_difference(a, one),
                            paired_difference(a, b), mean_interval(a)}) {
    EXPECT_EQ(d.half_width, 0);
    EXPECT_EQ(d.degrees_of_freedom, 0);
    EXPECT_FALSE(d.has_spread());
    EXPECT_FALSE(d.is_clear());
  }
}

}  // namespace
}  // namespace diffprob::eval
