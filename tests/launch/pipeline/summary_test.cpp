#include "launch/pipeline/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "launch/pipeline/planted_report.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;

TEST(Summary, SeedsOfOneNameMakeOneRowWithDeviation) {
  const std::vector<SummaryRow> rows = {{"untrained", 0, 0, 0, {"lfw"}, {0.70}},
                                        {"random", 100, 10, 60, {"lfw"}, {0.80}},
                                        {"random", 100, 10, 60, {"lfw"}, {0.90}}};

  const std::string table = summary_table(rows);

  EXPECT_THAT(table, HasSubstr("70.00 %"));
  EXPECT_THAT(table, HasSubstr("85.00 +- 7.07 % (2)"));  // sample deviation of 80 and 90
  EXPECT_EQ(summary_json(rows).size(), 3u);
}

class PlantedReport : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ =
        std::filesystem::temp_directory_path() / ("planted_" + std::to_string(::getpid()) + ".csv");
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::filesystem::path path_;
};

TEST_F(PlantedReport, CountsByHand) {
  write(
      "index,label,true_label,kind,source\n0,0,0,plain,\n1,0,1,flipped_label,\n2,0,0,near_"
      "duplicate,0\n3,0,0,plain,\n4,0,1,flipped_label,"
      "\n");
  prune::IndexSet set;
  set.num_samples = 5;
  using prune::Reason;
  set.reasons = {Reason::kMislabelled, Reason::kMislabelled, Reason::kRedundant, Reason::kKept,
                 Reason::kKept};

  const auto report = judge_planted(path_, set);

  EXPECT_DOUBLE_EQ(report.at("precision").get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(report.at("recall").get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(report.at("pruned_near_duplicates").get<double>(), 1.0);
  EXPECT_DOUBLE_EQ(report.at("usable_near_duplicates").get<double>(), 1.0 / 3.0);
}

TEST_F(PlantedReport, NamesTheBadLine) {
  write("index,label,true_label,kind,source\n0,0,0,plain,\n77,0,0,plain,\n");
  prune::IndexSet set;
  set.num_samples = 2;
  set.reasons.resize(2);

  try {
    (void)judge_planted(path_, set);
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr(":3: expected"));
  }
}

}  // namespace
}  // namespace diffprob::launch
