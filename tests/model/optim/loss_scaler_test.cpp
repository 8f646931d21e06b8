// The loss scale against its rule written out, and the bookkeeping of skipped updates.
#include "model/optim/loss_scaler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "model/optim/gradient_clip.h"
#include "model/optim/sgd.h"
#include "model/optim/skipped_updates.h"

namespace diffprob::tests {
namespace {

at::Tensor flag(bool finite) {
  return at::full({}, finite ? 1.0 : 0.0);
}

TEST(LossScaler, FollowsTheRule) {
  model::LossScaler scaler(
      {.initial_scale = 1024, .growth_factor = 4, .backoff_factor = 0.25, .growth_interval = 3},
      at::kCPU);
  double scale = 1024;
  int good = 0;
  std::mt19937 random(7);
  for (int step = 0; step < 200; ++step) {
    const bool finite = random() % 5 != 0;
    scaler.update(flag(finite));
    good = finite ? good + 1 : 0;
    if (!finite) scale *= 0.25;
    if (good == 3) {
      scale *= 4;
      good = 0;
    }
    ASSERT_EQ(scaler.scale().item<double>(), scale) << "step " << step;
  }
}

TEST(LossScaler, RestoredStateContinues) {
  const model::LossScalerOptions options{.initial_scale = 8, .growth_interval = 3};
  model::LossScaler before(options, at::kCPU);
  before.update(flag(false));
  before.update(flag(true));
  before.update(flag(true));

  model::LossScaler after(options, at::kCPU);
  const auto saved = before.state();
  const auto target = after.state();
  for (std::size_t i = 0; i < saved.size(); ++i) {
    EXPECT_EQ(saved[i].first, target[i].first);
    target[i].second.copy_(saved[i].second);
  }
  EXPECT_EQ(after.scale().item<double>(), 4);
  after.update(flag(true));
  EXPECT_EQ(after.scale().item<double>(), 8);
}

TEST(LossScaler, StartsInProportionToTheGlobalBatch) {
  EXPECT_EQ(model::initial_loss_scale(256), 65536);
  EXPECT_EQ(model::initial_loss_scale(1), 256);
  EXPECT_EQ(model::initial_loss_scale(511), 65536);
  EXPECT_EQ(model::initial_loss_scale(512), 131072);
  EXPECT_EQ(model::initial_loss_scale(262144), 67108864);
  EXPECT_THROW((void)model::initial_loss_scale(0), c10::Error);

  // The gradient of one row of a mean over 262,144, here 1e-4 of the loss's own, in fp16: it keeps
  // its digits, with the scale of 256 rows it does not.
  const double gradient = 1e-4 / 262144;
  const auto digits_left = [gradient](double scale) {
    const double held = at::full({}, gradient * scale).to(at::kHalf).item<double>() / scale;
    return std::abs(held / gradient - 1) < 1e-3;
  };
  EXPECT_TRUE(digits_left(model::initial_loss_scale(262144)));
  EXPECT_FALSE(digits_left(model::initial_loss_scale(256)));
}

TEST(LossScaler, RefusesSettingsThatDoNotWork) {
  EXPECT_THROW(model::LossScaler({.initial_scale = 0}, at::kCPU), c10::Error);
  EXPECT_THROW(model::LossScaler({.growth_factor = 1}, at::kCPU), c10::Error);
  EXPECT_THROW(model::LossScaler({.backoff_factor = 1}, at::kCPU), c10::Error);
  EXPECT_THROW(model::LossScaler({.growth_interval = 0}, at::kCPU), c10::Error);
}

/// A step of fp16 training as the trainer makes it: the scale starts too high, falls until
/// gradients fit, and training goes on.
TEST(LossScaler, TrainingGetsThroughOverflows) {
  auto weight = at::full({4}, 2.0).set_requires_grad(true);
  model::Sgd sgd({weight}, {.momentum = 0, .weight_decay = 0});
  model::LossScaler scaler({.initial_scale = 1 << 20}, at::kCPU);
  model::SkippedUpdates skipped;
  for (int step = 0; step < 12; ++step) {
    weight.mutable_grad().reset();
    // d/dw of 0.5 * w^2, scaled and held in half precision
    const at::Tensor gradient = (weight.detach() * scaler.scale()).to(at::kHalf).to(at::kFloat);
    weight.mutable_grad() = gradient;
    const auto norm = model::gradient_norm({gradient}, {0, scaler.scale()});
    const bool fits = weight[0].item<double>() * scaler.scale().item<double>() < 65520;
    EXPECT_EQ(norm.finite.item<float>(), fits ? 1.0f : 0.0f) << step;
    sgd.step({0.1, norm.finite, {}, norm.divisor});
    scaler.update(norm.finite);
    skipped.note(step, norm.finite);
  }
  const auto found = skipped.take();
  EXPECT_EQ(found.steps,
            (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));  // 2^20 ... 2^15 times 2 do not fit
  EXPECT_EQ(found.longest_run, 6);
  EXPECT_NEAR(weight[0].item<double>(), 2.0 * std::pow(0.9, 6), 1e-3);
}

TEST(SkippedUpdates, RunsGoOnFromOneTakeToTheNext) {
  model::SkippedUpdates skipped(/*total=*/10);
  auto apply = at::ones({});
  const auto note = [&](std::int64_t step, bool applied) {
    apply.fill_(applied ? 1 : 0);  // one tensor, used again and again
    skipped.note(step, apply);
  };
  EXPECT_EQ(skipped.take().longest_run, 0);
  note(0, false);
  note(1, true);
  note(2, false);
  note(3, false);
  auto found = skipped.take();
  EXPECT_EQ(found.steps, (std::vector<std::int64_t>{0, 2, 3}));
  EXPECT_EQ(found.longest_run, 2);
  EXPECT_EQ(found.total, 13);

  note(4, false);
  note(5, true);
  found = skipped.take();
  EXPECT_EQ(found.steps, (std::vector<std::int64_t>{4}));
  EXPECT_EQ(found.longest_run, 3);
  EXPECT_EQ(found.total, 14);
  note(6, true);
  found = skipped.take();
  EXPECT_TRUE(found.steps.empty());
  EXPECT_EQ(found.longest_run, 0);
}

}  // namespace
}  // namespace diffprob::tests
