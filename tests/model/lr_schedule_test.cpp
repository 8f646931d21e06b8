#include "model/lr_schedule.h"

#include <gtest/gtest.h>

#include <c10/util/Exception.h>

#include "tests/support/golden.h"

namespace diffprob::tests {
namespace {

void expect_relative(double value, double wanted, const std::string& what) {
  EXPECT_LE(std::abs(value - wanted), 1e-15 * std::abs(wanted)) << what << ": " << value << ", expected " << wanted;
}

TEST(LrSchedule, AgreesWithTheReferenceInEveryEpoch) {
  const auto golden = golden_json("lr.json");
  ASSERT_FALSE(golden.at("cases").empty());
  for (const auto& entry : golden.at("cases")) {
    const std::int64_t global_batch = entry.at("batch_size").get<std::int64_t>() * entry.at("world_size").get<std::int64_t>();
    const auto steps = entry.at("steps_per_epoch").get<std::int64_t>();
    model::LrScheduleOptions options;
    options.base_lr = golden.at("base_lr").get<double>();
    const model::LrSchedule schedule(options, global_batch, steps);

    expect_relative(schedule.initial_lr(), entry.at("initial_lr").get<double>(), "initial rate");
    const auto rates = entry.at("lr_per_epoch").get<std::vector<double>>();
    ASSERT_EQ(static_cast<std::int64_t>(rates.size()), golden.at("epochs").get<std::int64_t>());
    for (std::size_t epoch = 0; epoch < rates.size(); ++epoch) {
      const auto first = static_cast<std::int64_t>(epoch) * steps;
      expect_relative(schedule.at_step(first), rates[epoch], "first step of epoch " + std::to_string(epoch));
      expect_relative(schedule.at_step(first + steps - 1), rates[epoch], "last step of epoch " + std::to_string(epoch));
    }
  }
}

TEST(LrSchedule, WarmupRisesLinearlyFromTheFirstUpdate) {
  model::LrScheduleOptions options;
  options.warmup_epochs = 2;
  options.milestones = {4};
  const model::LrSchedule schedule(options, 512, 10);

  EXPECT_DOUBLE_EQ(schedule.at_step(0), 0.1 / 20);
  EXPECT_DOUBLE_EQ(schedule.at_step(9), 0.1 / 2);
  EXPECT_DOUBLE_EQ(schedule.at_step(19), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at_step(39), 0.1);
  EXPECT_DOUBLE_EQ(schedule.at_step(40), 0.01);
}

TEST(LrSchedule, NoReferenceBatchMeansNoScaling) {
  model::LrScheduleOptions options;
  options.reference_batch = 0;
  EXPECT_EQ(model::LrSchedule(options, 4096, 10).initial_lr(), 0.1);
  EXPECT_THROW(model::LrSchedule(options, 4096, 0), c10::Error);
}

}  // namespace
}  // namespace diffprob::tests
