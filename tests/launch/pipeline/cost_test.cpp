#include "launch/pipeline/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

FinishedStage training(const std::string& name, std::int64_t images, std::int64_t steps,
                       double seconds) {
  return {name, images, {{"steps", steps}, {"seconds", seconds}}};
}
FinishedStage scoring(double seconds, std::int64_t images = 100) {
  return {"score", 100, {{"samples", 100}, {"images", images}, {"seconds", seconds}}};
}
FinishedStage pruning(double seconds, const std::string& name = "prune") {
  return {name, 100, {{"kept", 50}, {"seconds", seconds}}};
}

/// 100 images in batches of 10, 4 epochs; half of them are kept.
CostInputs whole_run() {
  CostInputs inputs;
  inputs.batch_size = 10;
  inputs.epochs = 4;
  inputs.stages = {training("train_original", 100, 40, 60), scoring(5), pruning(1),
                   training("train_pruned_s0", 50, 20, 30)};
  return inputs;
}

TEST(Cost, ByHand) {
  const RunCost cost = run_cost(whole_run());

  EXPECT_EQ(cost.original.trained, 400);
  EXPECT_EQ(cost.scoring.scored, 100);
  EXPECT_EQ(cost.kept.trained, 200);
  EXPECT_EQ(cost.kept.skipped, 0);
  EXPECT_DOUBLE_EQ(cost.saved_seconds.value(), 30);
  EXPECT_DOUBLE_EQ(cost.saved_images.value(), 200);
  EXPECT_DOUBLE_EQ(cost.pay_back.original_wanted.value(), 6.0 / 30);
  EXPECT_DOUBLE_EQ(cost.pay_back.for_pruning_alone.value(), 66.0 / 30);
  EXPECT_FALSE(cost.never);
}

TEST(Cost, AfterThatManyTrainingsNothingIsLeftToPay) {
  CostInputs inputs = whole_run();
  const RunCost cost = run_cost(inputs);

  const double trainings = cost.pay_back.for_pruning_alone.value();

  // With the pruning: original, scoring, pruning and n short trainings; without it: n full ones.
  EXPECT_NEAR(60 + 5 + 1 + trainings * 30, trainings * 60, 1e-9);
}

TEST(Cost, SeedsCountByTheirMeanAndComparisonsNotAtAll) {
  CostInputs inputs = whole_run();
  inputs.stages.push_back(training("train_pruned_s1", 50, 20, 20));
  inputs.stages.push_back(pruning(100, "prune_random_s0"));
  inputs.stages.push_back(training("train_random_s0", 50, 20, 1));

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.kept.stages, 2);
  EXPECT_EQ(cost.kept.trained, 400);
  EXPECT_DOUBLE_EQ(cost.saved_seconds.value(), 35);
  EXPECT_DOUBLE_EQ(cost.saved_images.value(), 200);
  EXPECT_DOUBLE_EQ(cost.pay_back.original_wanted.value(), 6.0 / 35);
  EXPECT_DOUBLE_EQ(cost.comparison.seconds.value(), 101);
  EXPECT_THAT(cost_text(inputs, cost), HasSubstr("2 trainings, each on the kept images: 200"));
}

TEST(Cost, WithoutARetrainingNothingIsCompared) {
  CostInputs inputs = whole_run();
  inputs.stages.pop_back();

  const RunCost cost = run_cost(inputs);

  EXPECT_FALSE(cost.saved_seconds || cost.saved_images || cost.pay_back.original_wanted);
  EXPECT_FALSE(cost.never);
  const std::string text = cost_text(inputs, cost);
  EXPECT_THAT(text, HasSubstr("nothing was trained on the kept images"));
  EXPECT_THAT(text, Not(HasSubstr("paid for")));
  EXPECT_TRUE(cost_json(inputs, cost).at("saved_per_training").at("seconds").is_null());
}

TEST(Cost, AGivenModelHasNoTrainingToCompareWith) {
  CostInputs inputs = whole_run();
  inputs.stages.erase(inputs.stages.begin());
  inputs.original_given = true;

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.original.stages, 0);
  EXPECT_FALSE(cost.saved_seconds || cost.pay_back.for_pruning_alone || cost.never);
  const std::string text = cost_text(inputs, cost);
  EXPECT_THAT(text, HasSubstr("original network given"));
  EXPECT_THAT(text, HasSubstr("is unknown: the original network was not trained here"));
  EXPECT_TRUE(cost_json(inputs, cost).at("pays_after").at("original_wanted").is_null());
}

TEST(Cost, NeverWhereTheRetrainingIsNotCheaper) {
  for (const double seconds : {60.0, 61.0}) {
    CostInputs inputs = whole_run();
    inputs.stages.back() = training("train_pruned_s0", 50, 20, seconds);

    const RunCost cost = run_cost(inputs);

    EXPECT_TRUE(cost.never);
    EXPECT_FALSE(cost.pay_back.original_wanted || cost.pay_back.for_pruning_alone);
    EXPECT_THAT(cost_text(inputs, cost), HasSubstr("never pays for itself"));
    EXPECT_TRUE(cost_json(inputs, cost).at("pays_after").at("never").get<bool>());
  }
}

TEST(Cost, FoldsBelongToTheScoring) {
  CostInputs inputs = whole_run();
  inputs.stages[1] = {"score", 100, {{"samples", 100}, {"images", 0}, {"seconds", 1.0}}};
  for (const std::string fold : {"_fold0", "_fold1"}) {
    inputs.stages.push_back(training("train" + fold, 50, 20, 25));
    inputs.stages.push_back({"score" + fold, 50, {{"images", 50}, {"seconds", 2.0}}});
  }

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.scoring.trained, 400);
  EXPECT_EQ(cost.scoring.scored, 100);
  EXPECT_DOUBLE_EQ(cost.scoring.seconds.value(), 1 + 2 * 27);
  EXPECT_DOUBLE_EQ(cost.pay_back.original_wanted.value(), 56.0 / 30);
}

TEST(Cost, CentresMakeTwoPasses) {
  CostInputs inputs = whole_run();
  inputs.stages[1] = scoring(5, 200);

  EXPECT_EQ(run_cost(inputs).scoring.scored, 200);
}

TEST(Cost, PruningWhileTrainingCountsWhatWasLeftOut) {
  CostInputs inputs = whole_run();
  inputs.prunes_while_training = true;
  inputs.stages[0] = training("train_original", 105, 30, 60);  // 5 never make a batch

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.original.trained, 300);
  EXPECT_EQ(cost.original.skipped, 100);
  EXPECT_EQ(cost.kept.skipped, 0);
  EXPECT_THAT(cost_text(inputs, cost), HasSubstr("left out 100 images of the original training"));
}

TEST(Cost, StagesOfEarlierProgramsLeaveGaps) {
  CostInputs inputs = whole_run();
  inputs.stages[1].result.erase("images");
  inputs.stages[2].result.erase("seconds");

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.scoring.scored, 100);
  EXPECT_FALSE(cost.pruning.seconds.has_value());
  EXPECT_TRUE(cost.saved_seconds.has_value());
  EXPECT_FALSE(cost.pay_back.original_wanted || cost.never);
  EXPECT_THAT(cost_text(inputs, cost), HasSubstr("pruning in an unknown time"));
  EXPECT_TRUE(cost_json(inputs, cost).at("pruning").at("seconds").is_null());
}

TEST(Cost, DamagedResultsAreUnknownAndNoError) {
  CostInputs inputs = whole_run();
  inputs.stages[0].result = {{"steps", "many"}, {"seconds", -1}};
  inputs.stages[3].result = nullptr;

  const RunCost cost = run_cost(inputs);

  EXPECT_EQ(cost.original.trained, 0);
  EXPECT_FALSE(cost.original.seconds || cost.kept.seconds || cost.saved_seconds);
  EXPECT_FALSE(cost_text(inputs, cost).empty());
}

TEST(Cost, BytesAreLeftOutWhereTheyAreUnknown) {
  CostInputs inputs = whole_run();
  EXPECT_FALSE(cost_json(inputs, run_cost(inputs)).contains("image_bytes"));

  inputs.bytes = {4'000'000, 1'500'000};

  EXPECT_EQ(cost_json(inputs, run_cost(inputs)).at("image_bytes").at("kept"), 1'500'000);
  EXPECT_THAT(cost_text(inputs, run_cost(inputs)),
              HasSubstr("kept images take 1.5 of 4.0 MB (37.5 %)"));
}

TEST(Cost, FourLines) {
  CostInputs inputs = whole_run();
  inputs.bytes = {4'000'000, 2'000'000};

  EXPECT_EQ(cost_text(inputs, run_cost(inputs)),
            "cost: original training 400 images in 1m00s; scoring 100 images in 5.0s; pruning in "
            "1.0s\n"
            "  a training on the kept images: 200 images in 30.0s; 200 images (50.0 %) fewer than "
            "on all, 30.0s less\n"
            "  paid for after 0.2 trainings on the kept images where the original training was "
            "wanted anyway, after 2.2 where it was made for the pruning alone\n"
            "  kept images take 2.0 of 4.0 MB (50.0 %)\n");
}

}  // namespace
}  // namespace diffprob::launch
