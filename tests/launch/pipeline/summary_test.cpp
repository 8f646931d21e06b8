#include "launch/pipeline/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "launch/pipeline/planted_report.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Summary, SeedsOfOneNameMakeOneRowWithDeviation) {
  const std::vector<SummaryRow> rows = {{"untrained", 0, 0, 0, {"lfw"}, {0.70}},
                                        {"random", 100, 10, 60, {"lfw"}, {0.80}},
                                        {"random", 100, 10, 60, {"lfw"}, {0.90}}};

  const std::string table = summary_table(rows);

  EXPECT_THAT(table, HasSubstr("70.00 %"));
  EXPECT_THAT(table, HasSubstr("85.00 +- 7.07 % (2)"));  // sample deviation of 80 and 90
  EXPECT_EQ(summary_json(rows).size(), 3u);
}

TEST(Summary, ASentenceSaysWhatTheTableMeans) {
  std::vector<SummaryRow> rows = {{"untrained", 0, 0, 0, {"lfw", "cfp"}, {0.60, 0.50}},
                                  {"original", 200, 10, 60, {"lfw", "cfp"}, {0.90, 0.80}},
                                  {"diffprob", 50, 10, 60, {"lfw", "cfp"}, {0.88, 0.79}}};

  EXPECT_EQ(summary_sentence(rows),
            "\n  diffprob trained on 25.0 % of the images: accuracy 1.50 points below original.\n"
            "  With one seed, a point or two may be chance: diffprob sweep gives intervals.\n");

  rows.push_back({"random", 50, 10, 60, {"lfw", "cfp"}, {0.82, 0.78}});
  EXPECT_THAT(summary_sentence(rows),
              HasSubstr(",\n  and 3.50 points above as many images at random.\n"));
  rows.push_back({"random", 50, 10, 60, {"lfw", "cfp"}, {0.92, 0.88}});  // mean now 85
  EXPECT_THAT(summary_sentence(rows), HasSubstr("1.50 points below as many images at random"));
  EXPECT_THAT(summary_sentence(rows), Not(HasSubstr("one seed")));
}

TEST(Summary, WithoutAnOriginalOrASetThereIsNoSentence) {
  EXPECT_EQ(summary_sentence({}), "");
  EXPECT_EQ(summary_sentence({{"random", 50, 10, 60, {"lfw"}, {0.8}}}), "");
  EXPECT_EQ(summary_sentence({{"original", 50, 10, 60, {}, {}}, {"diffprob", 5, 1, 6, {}, {}}}),
            "");
}

nlohmann::json ijb_result(double tar) {
  const auto at = [&](double far, bool meaningful) {
    return nlohmann::json{{"far", far}, {"tar_nearest", tar}, {"meaningful", meaningful}};
  };
  const nlohmann::json variant = {{"variant", "F1N1D1"},
                                  {"auc", 0.9},
                                  {"eer", 0.1},
                                  {"tar_at_far", {at(1e-6, false), at(1e-4, true)}},
                                  {"roc", {{"far", {0, 1}}}}};
  return {{{"protocol", "IJB-C"}, {"variants", {variant}}}};
}

TEST(Summary, XNormAndIjbHaveTablesOfTheirOwn) {
  std::vector<SummaryRow> rows = {{"untrained", 0, 0, 0, {"lfw"}, {0.70}, {1.25}, {}},
                                  {"random", 100, 10, 60, {"lfw"}, {0.80}, {20}, ijb_result(0.5)},
                                  {"random", 100, 10, 60, {"lfw"}, {0.90}, {21}, ijb_result(0.7)}};

  const std::string table = summary_table(rows);

  EXPECT_THAT(table, HasSubstr("XNorm"));
  EXPECT_THAT(table, HasSubstr("1.250"));
  EXPECT_THAT(table, HasSubstr("20.500 +- 0.707 (2)"));
  EXPECT_THAT(table, HasSubstr("IJB-C F1N1D1"));
  EXPECT_THAT(table, HasSubstr("(60.00 +- 14.14 (2))"));  // no impostor may pass
  EXPECT_THAT(table, HasSubstr("  60.00 +- 14.14 (2)\n"));
  const auto json = summary_json(rows);
  EXPECT_EQ(json[1].at("xnorm").at("lfw"), 20);
  EXPECT_EQ(json[1].at("ijb").at(0).at("tar_at_far").size(), 2U);
  EXPECT_FALSE(json[1].at("ijb").at(0).contains("roc"));
  EXPECT_FALSE(json[0].contains("ijb"));
}

TEST(Summary, RowsOfAnEarlierProgramHaveNoXNorm) {
  const std::vector<SummaryRow> rows = {{"original", 9, 3, 1, {"lfw"}, {0.7}, {std::nan("")}, {}}};

  EXPECT_THAT(summary_table(rows), Not(HasSubstr("XNorm")));
  EXPECT_FALSE(summary_json(rows)[0].contains("xnorm"));
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
