#include "launch/evaluate/network_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

EvaluatedNetwork network(std::int64_t step, std::vector<double> accuracies) {
  EvaluatedNetwork made{{"run/x", "step_" + std::to_string(step), step}, step / 10, {}, {}, {}, ""};
  for (std::size_t i = 0; i < accuracies.size(); ++i) {
    eval::SetReport report;
    report.name = i == 0 ? "lfw" : "cfp,fp";
    report.verification.accuracy_mean = accuracies[i];
    report.feature_norm = 20 + static_cast<double>(i);
    made.reports.push_back(report);
  }
  return made;
}

EvaluatedNetwork with_ijb(EvaluatedNetwork made, double tar) {
  eval::IjbResult result;
  result.name = "IJB-C";
  eval::IjbVariantResult variant;
  for (const double far : {1e-6, 1e-4}) {
    eval::TarAtFar row;
    row.far_target = far;
    row.tar = tar;
    variant.tar.push_back(row);
  }
  variant.curve = {{0, 0, 1}, {1, 1, 0}};
  result.variants = {variant};
  made.ijb.push_back(result);
  made.ijb_folders.push_back("IJBC");
  return made;
}

EvaluatedNetwork skipped(std::int64_t step) {
  EvaluatedNetwork made = network(step, {});
  made.epoch.reset();
  made.problem = "backbone.pth: is corrupted, \"quite\"";
  return made;
}

TEST(NetworkTable, TheBestIsThatOfTheMeanAccuracyAndTheFirstOfEqualOnes) {
  EXPECT_EQ(
      best_network({network(10, {0.9, 0.5}), network(20, {0.8, 0.7}), network(30, {0.7, 0.8})}),
      1U);
  EXPECT_EQ(best_network({skipped(10), network(20, {0.8})}), 1U);
  EXPECT_EQ(best_network({skipped(10)}), std::nullopt);
  EXPECT_EQ(best_network({with_ijb(network(10, {}), 0.3), with_ijb(network(20, {}), 0.4)}), 1U);
  // Sets decide where there are any.
  EXPECT_EQ(best_network({with_ijb(network(10, {0.9}), 0.3), with_ijb(network(20, {0.8}), 0.4)}),
            0U);
}

TEST(NetworkTable, MarksTheBestOfEachColumn) {
  const std::string table = network_table({with_ijb(network(10, {0.9, 0.5}), 0.3), skipped(20),
                                           with_ijb(network(30, {0.8, 0.7}), 0.4)});

  EXPECT_THAT(table, HasSubstr("90.00*"));
  EXPECT_THAT(table, HasSubstr("80.00 "));
  EXPECT_THAT(table, HasSubstr("75.00*"));
  EXPECT_THAT(table, HasSubstr("40.00*"));
  EXPECT_THAT(table, HasSubstr("IJB-C.F1N1D1@1e-04"));
  EXPECT_THAT(table, HasSubstr("20.5000"));  // mean XNorm
  EXPECT_THAT(table, HasSubstr("skipped\n"));
  EXPECT_THAT(table, HasSubstr("best: highest mean accuracy"));
  EXPECT_THAT(network_table({skipped(10)}), Not(HasSubstr("best")));
}

TEST(NetworkTable, CsvHasARowPerNetwork) {
  EXPECT_EQ(networks_csv({with_ijb(network(10, {0.9, 0.5}), 0.25), skipped(20)}),
            "network,step,epoch,lfw.accuracy,lfw.xnorm,\"cfp,fp.accuracy\",\"cfp,fp.xnorm\","
            "mean_accuracy,IJB-C.F1N1D1.tar@1e-06,IJB-C.F1N1D1.tar@1e-04,best,problem\n"
            "step_10,10,1,0.9,20,0.5,21,0.7,0.25,0.25,1,\n"
            "step_20,20,,,,,,,,,0,\"backbone.pth: is corrupted, \"\"quite\"\"\"\n");
}

TEST(NetworkTable, JsonHasWhatASingleEvaluationHas) {
  const auto json = networks_json({with_ijb(network(10, {0.9}), 0.25), skipped(20)});

  EXPECT_EQ(json.at("best"), "step_10");
  const auto& networks = json.at("networks");
  EXPECT_EQ(networks.at(0).at("best"), true);
  EXPECT_EQ(networks.at(0).at("epoch"), 1);
  EXPECT_EQ(networks.at(0).at("verification").at(0).at("xnorm"), 20);
  EXPECT_EQ(networks.at(0).at("ijb").at(0).at("variants").at(0).at("roc").at("far").at(1), 1);
  EXPECT_EQ(networks.at(1).at("epoch"), nullptr);
  EXPECT_FALSE(networks.at(1).contains("verification"));
  EXPECT_THAT(networks.at(1).at("problem").get<std::string>(), HasSubstr("corrupted"));
}

}  // namespace
}  // namespace diffprob::launch
