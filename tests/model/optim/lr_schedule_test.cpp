#include "model/optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <c10/util/Exception.h>

#include <cmath>
#include <filesystem>

#include "tests/support/golden.h"

namespace diffprob::tests {
namespace {

void expect_relative(double value, double wanted, const std::string& what) {
  EXPECT_LE(std::abs(value - wanted), 1e-15 * std::abs(wanted))
      << what << ": " << value << ", expected " << wanted;
}

/// Epochs whose rate is not that of the epoch before. A single wrong rate gives two more of them,
/// and rates that do not fit.
std::vector<std::int64_t> milestones_of(const std::vector<double>& rates) {
  std::vector<std::int64_t> milestones;
  for (std::size_t epoch = 1; epoch < rates.size(); ++epoch) {
    if (rates[epoch] != rates[epoch - 1]) milestones.push_back(static_cast<std::int64_t>(epoch));
  }
  return milestones;
}

TEST(LrSchedule, DefaultsAreThePapers) {
  const model::LrScheduleOptions options;
  EXPECT_EQ(options.base_lr, 0.1);
  EXPECT_EQ(options.reference_batch, 512);
  EXPECT_EQ(options.milestones, (std::vector<std::int64_t>{19, 27, 31}));
  EXPECT_EQ(options.gamma, 0.1);
}

TEST(LrSchedule, AgreesWithTheReferenceInEveryEpoch) {
  const auto golden = golden_json("lr.json");
  ASSERT_FALSE(golden.at("cases").empty());
  for (const auto& entry : golden.at("cases")) {
    const std::int64_t global_batch =
        entry.at("batch_size").get<std::int64_t>() * entry.at("world_size").get<std::int64_t>();
    const auto steps = entry.at("steps_per_epoch").get<std::int64_t>();
    model::LrScheduleOptions options;
    const auto rates = entry.at("lr_per_epoch").get<std::vector<double>>();
    options.base_lr = golden.at("base_lr").get<double>();
    options.reference_batch = golden.value("reference_batch", options.reference_batch);
    options.gamma = golden.value("gamma", options.gamma);
    options.milestones = golden.value("milestones", milestones_of(rates));
    const model::LrSchedule schedule(options, global_batch, steps);

    expect_relative(schedule.initial_lr(), entry.at("initial_lr").get<double>(), "initial rate");
    ASSERT_EQ(static_cast<std::int64_t>(rates.size()), golden.at("epochs").get<std::int64_t>());
    for (std::size_t epoch = 0; epoch < rates.size(); ++epoch) {
      const auto first = static_cast<std::int64_t>(epoch) * steps;
      expect_relative(schedule.at_step(first), rates[epoch],
                      "first step of epoch " + std::to_string(epoch));
      expect_relative(schedule.at_step(first + steps - 1), rates[epoch],
                      "last step of epoch " + std::to_string(epoch));
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

/// The rules written out, update by update.
double slow_rate(const model::LrScheduleOptions& options, double initial, double last,
                 double warmup, std::int64_t step) {
  const double total = static_cast<double>(options.total_steps);
  double done = 0;
  if (static_cast<double>(step) > warmup) done = static_cast<double>(step) - warmup;
  double share = done / (total - warmup);
  if (share > 1) share = 1;
  double rate = 0;
  if (options.kind == model::LrKind::kPolynomial) {
    rate = last + (initial - last) * (1 - share) * (1 - share);
    if (options.power == 1) rate = last + (initial - last) * (1 - share);
  } else {
    rate = last + (initial - last) * (1 + std::cos(3.14159265358979323846 * share)) / 2;
  }
  if (static_cast<double>(step) + 1 < warmup) rate *= (static_cast<double>(step) + 1) / warmup;
  return rate;
}

TEST(LrSchedule, PolynomialAndCosineFollowTheRule) {
  for (const auto kind : {model::LrKind::kPolynomial, model::LrKind::kCosine}) {
    for (const double power : {1.0, 2.0}) {
      for (const double warmup_epochs : {0.0, 0.25, 2.0}) {
        for (const double last : {0.0, 0.001}) {
          model::LrScheduleOptions options;
          options.kind = kind;
          options.power = power;
          options.warmup_epochs = warmup_epochs;
          options.final_lr = last;
          options.total_steps = 90;
          const model::LrSchedule schedule(options, 1024, 10);
          for (std::int64_t step = 0; step < 100; ++step) {
            const double wanted = slow_rate(options, 0.2, 2 * last, warmup_epochs * 10, step);
            EXPECT_NEAR(schedule.at_step(step), wanted, 1e-15) << "step " << step;
          }
          // Known points: the top right after warm-up, the end.
          EXPECT_NEAR(schedule.at_step(static_cast<std::int64_t>(warmup_epochs * 10)), 0.2,
                      warmup_epochs == 0.25 ? 0.005 : 1e-15);
          EXPECT_NEAR(schedule.at_step(90), 2 * last, 1e-15);
        }
      }
    }
  }
}

bool has_warmups() {
  return std::filesystem::exists(golden_dir() + "/lr_warmup.json");
}

TEST(LrSchedule, AgreesWithArcfaceTorchAtEveryUpdate) {
  if (!has_warmups()) GTEST_SKIP() << "the set has no lr_warmup.json";
  const auto golden = golden_json("lr_warmup.json");
  ASSERT_FALSE(golden.at("polynomial").empty());
  double worst = 0;
  for (const auto& entry : golden.at("polynomial")) {
    model::LrScheduleOptions options;
    options.base_lr = entry.at("base_lr").get<double>();
    options.reference_batch = 0;
    options.kind = model::LrKind::kPolynomial;
    options.power = entry.at("power").get<double>();
    options.warmup_epochs = entry.at("warmup_epochs").get<double>();
    options.warmup_shape = model::WarmupShape::kArcfaceTorch;
    const auto steps = entry.at("steps_per_epoch").get<std::int64_t>();
    options.total_steps = steps * entry.at("epochs").get<std::int64_t>();
    const model::LrSchedule schedule(options, 512, steps);

    const auto rates = entry.at("lr_per_step").get<std::vector<double>>();
    ASSERT_EQ(static_cast<std::int64_t>(rates.size()), options.total_steps);
    for (std::size_t step = 0; step < rates.size(); ++step) {
      const double rate = schedule.at_step(static_cast<std::int64_t>(step));
      worst = std::max(worst, std::abs(rate - rates[step]) / options.base_lr);
      EXPECT_NEAR(rate, rates[step], 1e-12 * options.base_lr) << "update " << step;
    }
  }
  std::printf("largest difference, of the base rate: %.1e\n", worst);
}

TEST(LrSchedule, SquaredWarmupByEpochsIsThatOfThePapersCode) {
  if (!has_warmups()) GTEST_SKIP() << "the set has no lr_warmup.json";
  const auto golden = golden_json("lr_warmup.json");
  ASSERT_FALSE(golden.at("squared_warmup").empty());
  constexpr std::int64_t kSteps = 9;
  for (const auto& entry : golden.at("squared_warmup")) {
    model::LrScheduleOptions options;
    options.base_lr = entry.at("base_lr").get<double>();
    options.milestones = entry.at("milestones").get<std::vector<std::int64_t>>();
    options.warmup_epochs = entry.at("warmup_epochs").get<double>();
    options.warmup_shape = model::WarmupShape::kEpochs;
    options.warmup_power = 2;
    const model::LrSchedule schedule(options, 512, kSteps);
    const auto rates = entry.at("lr_per_epoch").get<std::vector<double>>();
    for (std::size_t epoch = 0; epoch < rates.size(); ++epoch) {
      for (std::int64_t i = 0; i < kSteps; ++i)
        EXPECT_NEAR(schedule.at_step(static_cast<std::int64_t>(epoch) * kSteps + i), rates[epoch],
                    1e-12 * options.base_lr)
            << "epoch " << epoch;
    }
  }
}

TEST(LrSchedule, WarmupPowerBendsTheOtherShapesToo) {
  model::LrScheduleOptions options;
  options.milestones.clear();
  options.warmup_epochs = 2.5;
  options.warmup_power = 3;
  const auto rate = [&](model::WarmupShape shape, std::int64_t step) {
    options.warmup_shape = shape;
    return model::LrSchedule(options, 512, 10).at_step(step);
  };
  using Shape = model::WarmupShape;
  EXPECT_NEAR(rate(Shape::kUpdates, 4), 0.1 * 0.008, 1e-15);
  EXPECT_NEAR(rate(Shape::kArcfaceTorch, 5), 0.1 * 0.008, 1e-15);
  EXPECT_NEAR(rate(Shape::kEpochs, 9), 0.1 * 0.064, 1e-15);
  EXPECT_NEAR(rate(Shape::kEpochs, 10), 0.1 * 0.512, 1e-15);
  for (const Shape shape : {Shape::kUpdates, Shape::kArcfaceTorch, Shape::kEpochs}) {
    EXPECT_EQ(rate(shape, 25), 0.1);
    EXPECT_LT(rate(shape, 19), 0.1);
  }
  for (const std::string& name : model::warmup_names())
    EXPECT_NO_THROW((void)model::warmup_shape(name));
  EXPECT_THROW((void)model::warmup_shape("quick"), c10::Error);
}

TEST(LrSchedule, RefusesWhatIsNoSchedule) {
  model::LrScheduleOptions options;
  options.kind = model::LrKind::kCosine;
  EXPECT_THROW(model::LrSchedule(options, 512, 10), c10::Error);  // no total_steps
  options.total_steps = 20;
  options.warmup_epochs = 2;
  EXPECT_THROW(model::LrSchedule(options, 512, 10), c10::Error);  // nothing left after warm-up
  options.warmup_epochs = 1;
  EXPECT_NO_THROW(model::LrSchedule(options, 512, 10));
  options.kind = model::LrKind::kPolynomial;
  options.power = 0;
  EXPECT_NO_THROW(model::LrSchedule(options, 512, 10));
  options.power = -1;
  EXPECT_THROW(model::LrSchedule(options, 512, 10), c10::Error);

  EXPECT_EQ(model::lr_kind("milestones"), model::LrKind::kMilestones);
  EXPECT_EQ(model::lr_kind("polynomial"), model::LrKind::kPolynomial);
  EXPECT_EQ(model::lr_kind("cosine"), model::LrKind::kCosine);
  EXPECT_THROW((void)model::lr_kind("step"), c10::Error);
}

}  // namespace
}  // namespace diffprob::tests
