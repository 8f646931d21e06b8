// AdamW against LibTorch's own, and its general rule against its fused kernel.
#include "model/optim/adamw.h"

#include <gtest/gtest.h>

#include "tests/model/optimizer_test_support.h"

namespace diffprob::tests {
namespace {

void train_side_by_side(torch::Dtype dtype, double tolerance, const model::AdamWOptions& options) {
  auto pair = make_parameters(dtype);
  model::AdamW ours(pair.ours, options);
  torch::optim::AdamW theirs(pair.theirs, torch::optim::AdamWOptions(1e-2)
                                              .betas({options.beta1, options.beta2})
                                              .eps(options.epsilon)
                                              .weight_decay(options.weight_decay));
  for (int step = 0; step < 20; ++step) {
    set_gradients(pair, pair.ours.size() - (step < 5 ? 1 : 0), 1.0);
    const double rate = step < 10 ? 1e-2 : 1e-3;
    static_cast<torch::optim::AdamWOptions&>(theirs.param_groups()[0].options()).lr(rate);
    ours.step(rate);
    theirs.step();
    ASSERT_LE(worst(pair.ours, pair.theirs), tolerance) << "step " << step;
  }
}

TEST(AdamW, EqualsTorch) {
  train_side_by_side(torch::kDouble, 1e-13, {});
  train_side_by_side(torch::kDouble, 1e-13,
                     {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.3});
  train_side_by_side(torch::kFloat, 2e-6, {});
}

TEST(AdamW, OwnDecayForEachParameter) {
  auto pair = make_parameters(torch::kDouble);
  for (auto& parameter : pair.ours)
    parameter.mutable_grad() = torch::zeros_like(parameter);  // decay is all that moves them
  model::AdamW adamw(pair.ours, {}, {0.5, 0.0, 0.5, 0.1, 0.0});

  adamw.step(0.1);

  EXPECT_LE(worst(pair.ours, {pair.theirs[0] * 0.95, pair.theirs[1], pair.theirs[2] * 0.95,
                              pair.theirs[3] * 0.99, pair.theirs[4]}),
            1e-15);
}

TEST(AdamW, RestoredStateContinuesTheRun) {
  auto straight = make_parameters(torch::kFloat);
  auto resumed = make_parameters(torch::kFloat);
  set_gradients(straight, straight.ours.size(), 1.0);
  for (std::size_t i = 0; i < straight.ours.size(); ++i)
    resumed.ours[i].mutable_grad() = straight.ours[i].grad().clone();
  model::AdamW one(straight.ours, {});
  model::AdamW before(resumed.ours, {});
  for (int i = 0; i < 3; ++i) one.step(0.1);
  for (int i = 0; i < 3; ++i) before.step(0.1);

  model::AdamW after(resumed.ours, {});
  const auto saved = before.state();
  const auto target = after.state();
  ASSERT_EQ(saved.size(), 3u);
  for (std::size_t k = 0; k < saved.size(); ++k) {
    ASSERT_EQ(saved[k].tensors.size(), straight.ours.size()) << saved[k].suffix;
    for (std::size_t i = 0; i < straight.ours.size(); ++i)
      target[k].tensors[i].copy_(saved[k].tensors[i]);
  }
  one.step(0.1);
  after.step(0.1);

  EXPECT_TRUE(same_bits(straight.ours, resumed.ours));
  EXPECT_EQ(after.state()[2].tensors[0].item<float>(), 4.0f);
}

TEST(AdamW, SkippedUpdateChangesNoBit) {
  auto pair = make_parameters(torch::kFloat);
  set_gradients(pair, pair.ours.size(), 1.0);
  model::AdamW ours(pair.ours, {});
  model::AdamW theirs(pair.theirs, {});
  const auto first = clones(pair.ours);
  for (auto& parameter : pair.ours)
    parameter.mutable_grad().fill_(std::numeric_limits<float>::quiet_NaN());

  ours.step({0.1, torch::zeros({})});  // the very first update

  EXPECT_TRUE(same_bits(pair.ours, first));
  for (const auto& state : ours.state()) {
    for (const auto& tensor : state.tensors)
      EXPECT_EQ(tensor.abs().max().item<float>(), 0.0f) << state.suffix;
  }
  // Then it is as if nothing had been.
  for (std::size_t i = 0; i < pair.ours.size(); ++i)
    pair.ours[i].mutable_grad() = pair.theirs[i].grad().clone();
  ours.step({0.1, torch::ones({})});
  theirs.step(0.1);
  EXPECT_TRUE(same_bits(pair.ours, pair.theirs));
}

/// As a step is captured: the rate that counts is the one in device memory.
TEST(AdamW, ARateInATensorIsThatRate) {
  torch::manual_seed(9);
  auto host = std::vector<torch::Tensor>{torch::randn({6, 4}), torch::zeros({6, 4}),
                                         torch::zeros({6, 4}), torch::zeros({})};
  auto device = clones(host);
  for (const double rate : {0.25, 0.0625, 0.125}) {  // exact in float32
    const auto gradient = torch::randn({6, 4});
    const std::vector<model::StepControl> controls{{rate, {}}, {7, {}, torch::full({}, rate)}};
    for (std::size_t i = 0; i < controls.size(); ++i) {
      const auto& state = i == 0 ? host : device;
      model::advance_steps({state[3]}, controls[i]);
      model::adamw_update({state[0]}, {gradient}, {{state[1]}, {state[2]}, {state[3]}}, {},
                          controls[i]);
    }
  }
  EXPECT_TRUE(same_bits(host, device));
}

TEST(AdamW, ARateInATensorNeedsTheFusedKernel) {
  const auto parameter = torch::zeros({2}), step = torch::zeros({});
  const auto gradient = torch::zeros({2}, torch::kDouble);
  const model::StepControl control{0.1, {}, torch::full({}, 0.1)};
  EXPECT_THROW(model::adamw_update({parameter}, {gradient},
                                   {{torch::zeros({2})}, {torch::zeros({2})}, {step}}, {}, control),
               c10::Error);
}

/// Types or layouts that the fused kernel does not take.
TEST(AdamW, GeneralRuleEqualsTheFusedKernel) {
  torch::manual_seed(8);
  auto fused = std::vector<torch::Tensor>{torch::randn({6, 4}), torch::zeros({6, 4}),
                                          torch::zeros({6, 4}), torch::zeros({})};
  auto general = clones(fused);
  const model::AdamWOptions options;
  for (int i = 0; i < 5; ++i) {
    const auto gradient = torch::randn({6, 4});
    model::advance_steps({fused[3]}, {});
    model::adamw_update({fused[0]}, {gradient}, {{fused[1]}, {fused[2]}, {fused[3]}}, options,
                        {0.01, {}});
    const model::StepControl control{0.01, torch::ones({})};
    model::advance_steps({general[3]}, control);
    const model::StepControl skipped{0.01, torch::zeros({})};
    model::adamw_update({general[0]}, {gradient.to(torch::kDouble) / 0},
                        {{general[1]}, {general[2]}, {general[3]}}, options, skipped);
    for (const auto& [begin, end] :
         std::vector<std::pair<int, int>>{{0, 2}, {2, 6}}) {  // chunks of rows, one count
      model::adamw_update(
          {general[0].slice(0, begin, end)}, {gradient.slice(0, begin, end).to(torch::kDouble)},
          {{general[1].slice(0, begin, end)}, {general[2].slice(0, begin, end)}, {general[3]}},
          options, control);
    }
  }
  EXPECT_LE(worst(general, fused), 2e-6);
  EXPECT_EQ(general[3].item<float>(), 5.0f);
}

}  // namespace
}  // namespace diffprob::tests
