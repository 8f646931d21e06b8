#include "launch/pipeline/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "launch/pipeline/comparison_table.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(DifferenceVerdict, FollowsTheInterval) {
  EXPECT_EQ(verdict({0.02, 0.01, 4}), DifferenceVerdict::kBetter);
  EXPECT_EQ(verdict({-0.02, 0.01, 4}), DifferenceVerdict::kWorse);
  EXPECT_EQ(verdict({0.02, 0.03, 4}), DifferenceVerdict::kNoDifference);
  EXPECT_EQ(verdict({-0.02, 0.02, 4}), DifferenceVerdict::kNoDifference);
  EXPECT_EQ(verdict({0.02, std::nullopt, 0}), DifferenceVerdict::kOneSeed);
  const std::vector<double> a = {0.9, 0.9}, b = {0.8, 0.8};
  EXPECT_EQ(verdict(eval::independent_difference(a, b)), DifferenceVerdict::kNoSpread);
}

CellRun run(std::uint64_t seed, std::int64_t images, std::vector<double> accuracy) {
  return {seed, images, 10, 0, 1, std::move(accuracy)};
}

std::vector<ComparisonCell> two_sets() {
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
  EXPECT_EQ(rows[1].verdict, DifferenceVerdict::kBetter);
  EXPECT_NEAR(rows[1].images_beyond_random, 50.0 / 450, 1e-12);
  EXPECT_EQ(rows[2].verdict, DifferenceVerdict::kNone);
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
