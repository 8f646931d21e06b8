#include "launch/pipeline/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <stdexcept>

#include "launch/pipeline/comparison_table.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// P(|T| < t) the slow, obvious way: trapezoids under the density.
double slow_probability(double t, double v) {
  constexpr int kSteps = 200000;
  const double factor =
      std::exp(std::lgamma((v + 1) / 2) - std::lgamma(v / 2)) / std::sqrt(v * std::numbers::pi);
  const auto density = [&](double x) { return factor * std::pow(1 + x * x / v, -(v + 1) / 2); };
  const double width = t / kSteps;
  double sum = (density(0) + density(t)) / 2;
  for (int i = 1; i < kSteps; ++i) sum += density(i * width);
  return 2 * sum * width;
}

TEST(Student, QuantilesAreThoseOfScipy) {
  // scipy.stats.t.ppf(0.975, df)
  EXPECT_NEAR(student_95(1), 12.7062047362, 1e-8);
  EXPECT_NEAR(student_95(1.5), 6.0166631044, 1e-8);
  EXPECT_NEAR(student_95(2), 4.3026527297, 1e-8);
  EXPECT_NEAR(student_95(3), 3.1824463053, 1e-8);
  EXPECT_NEAR(student_95(3.5), 2.9400886380, 1e-8);
  EXPECT_NEAR(student_95(4), 2.7764451052, 1e-8);
  EXPECT_NEAR(student_95(8), 2.3060041352, 1e-8);
  EXPECT_NEAR(student_95(8.25), 2.2938972084, 1e-8);
  EXPECT_NEAR(student_95(30), 2.0422724563, 1e-8);
  EXPECT_NEAR(student_95(120), 1.9799304051, 1e-8);
  EXPECT_NEAR(student_95(198), 1.9720174778, 1e-8);
}

TEST(Student, NinetyFivePercentLieWithin) {
  for (const double v : {1.0, 1.01, 1.7, 2.0, 3.3, 7.9, 40.0, 198.0})
    EXPECT_NEAR(slow_probability(student_95(v), v), 0.95, 1e-8) << v;
  EXPECT_NEAR(student_95(1e6), 1.959966, 1e-5);  // the normal one
  EXPECT_THROW((void)student_95(0.5), std::invalid_argument);
}

TEST(MeanInterval, ByHand) {
  const Interval interval = mean_interval(std::vector<double>{0.90, 0.92, 0.94});  // deviation 0.02

  EXPECT_NEAR(interval.mean, 0.92, 1e-15);
  EXPECT_EQ(interval.degrees_of_freedom, 2);
  EXPECT_NEAR(*interval.half_width, 4.302652730 * 0.02 / std::sqrt(3.0), 1e-10);
  EXPECT_FALSE(mean_interval(std::vector<double>{0.9}).half_width);
}

TEST(WelchDifference, IsThatOfScipy) {
  const std::vector<double> a = {0.912, 0.934, 0.921, 0.918, 0.929},
                            b = {0.905, 0.901, 0.917, 0.889};

  const Interval difference = welch_difference(a, b);

  // scipy.stats.ttest_ind(a, b, equal_var=False): df, confidence_interval(0.95)
  EXPECT_NEAR(difference.degrees_of_freedom, 5.5197982413, 1e-8);
  EXPECT_NEAR(difference.mean - *difference.half_width, 0.002362261918, 1e-10);
  EXPECT_NEAR(difference.mean + *difference.half_width, 0.037237738082, 1e-10);
}

TEST(Verdict, FollowsTheInterval) {
  EXPECT_EQ(verdict({0.02, 0.01, 4}), Verdict::kBetter);
  EXPECT_EQ(verdict({-0.02, 0.01, 4}), Verdict::kWorse);
  EXPECT_EQ(verdict({0.02, 0.03, 4}), Verdict::kNoDifference);
  EXPECT_EQ(verdict({-0.02, 0.02, 4}), Verdict::kNoDifference);
  EXPECT_EQ(verdict({0.02, std::nullopt, 0}), Verdict::kOneSeed);
  EXPECT_EQ(verdict(welch_difference(std::vector<double>{0.9, 0.9}, std::vector<double>{0.8, 0.8})),
            Verdict::kNoSpread);
}

CellRun run(std::uint64_t seed, std::int64_t images, std::vector<double> accuracy) {
  return {seed, images, 10, 0, 1, std::move(accuracy)};
}

std::vector<Cell> two_sets() {
  return {{"original", 1, {run(1, 1000, {0.95, 0.85}), run(2, 1000, {0.96, 0.86})}},
          {"diffprob", 0.5, {run(1, 500, {0.94, 0.84}), run(2, 500, {0.95, 0.85})}},
          {"random", 0.5, {run(1, 450, {0.80, 0.70}), run(2, 450, {0.81, 0.71})}},
          {"random", 0.25, {run(1, 250, {0.80, 0.70}), run(2, 250, {0.81, 0.71})}}};
}

TEST(Compare, EachCellAgainstRandomOfItsRatio) {
  const auto cells = two_sets();

  const auto rows = compare(cells);

  ASSERT_EQ(rows.size(), 4u);
  EXPECT_FALSE(rows[0].difference);
  EXPECT_NEAR(rows[1].sets[0].mean, 0.945, 1e-12);
  EXPECT_NEAR(rows[1].accuracy.mean, 0.895, 1e-12);
  EXPECT_NEAR(rows[1].difference->mean, 0.14, 1e-12);
  EXPECT_NEAR(rows[1].difference->degrees_of_freedom, 2, 1e-9);  // equal spreads: 2 + 2 - 2
  EXPECT_EQ(rows[1].verdict, Verdict::kBetter);
  EXPECT_NEAR(rows[1].images_beyond_random, 50.0 / 450, 1e-12);
  EXPECT_EQ(rows[2].verdict, Verdict::kNone);
}

TEST(Compare, RefusesWhatCannotBeCompared) {
  auto cells = two_sets();
  cells.erase(cells.begin() + 2);
  EXPECT_THROW((void)compare(cells), std::invalid_argument);
  EXPECT_THROW((void)compare({{"random", 0.5, {}}}), std::invalid_argument);
  EXPECT_THROW((void)compare({{"random", 0.5, {run(1, 1, {0.5}), run(2, 1, {})}}}),
               std::invalid_argument);
}

TEST(ComparisonTable, ShowsIntervalsVerdictsAndOtherSizes) {
  const auto cells = two_sets();
  const auto rows = compare(cells);

  const std::string text = comparison_text(rows, {"lfw", "agedb"});

  EXPECT_THAT(text, HasSubstr("mean"));
  EXPECT_THAT(text, HasSubstr("94.50 +- 6.35"));   // 12.706 * 0.7071 / sqrt(2)
  EXPECT_THAT(text, HasSubstr("+14.00 +- 3.04"));  // 4.3027 * 0.7071
  EXPECT_THAT(text, HasSubstr("better"));
  EXPECT_THAT(text, HasSubstr("500*"));
  EXPECT_THAT(text, HasSubstr("* more than 2 %"));
  EXPECT_THAT(text, Not(HasSubstr("comparisons")));  // only one
}

TEST(ComparisonTable, FilesHoldEveryTraining) {
  const auto cells = two_sets();
  const auto rows = compare(cells);

  const auto json = comparison_json(rows, {"lfw", "age,db"});
  const std::string csv = comparison_csv(rows, {"lfw", "age,db"});

  EXPECT_EQ(json.at("cells").size(), 4u);
  EXPECT_EQ(json["cells"][1]["runs"][1]["accuracy"]["age,db"].get<double>(), 0.85);
  EXPECT_EQ(json["cells"][1]["verdict"], "better");
  EXPECT_TRUE(json["cells"][0]["difference_to_random"].is_null());
  EXPECT_THAT(csv, HasSubstr("train_seconds,lfw,\"age,db\"\n"));
  EXPECT_THAT(csv, HasSubstr("\ndiffprob,0.5,2,500,10,0,1,0.95,0.85\n"));
}

}  // namespace
}  // namespace diffprob::launch
