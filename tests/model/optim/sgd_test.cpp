// Sgd and the clipping of gradients against LibTorch's own.
#include "model/optim/sgd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/utils/clip_grad.h>

#include "model/optim/gradient_clip.h"
#include "tests/model/optimizer_test_support.h"

namespace diffprob::tests {
namespace {

enum class Late { kNone, kLastParameter };

void train_side_by_side(torch::Dtype dtype, double tolerance, const model::SgdOptions& options,
                        Late late) {
  auto pair = make_parameters(dtype);
  model::Sgd ours(pair.ours, options);
  torch::optim::SGD theirs(pair.theirs, torch::optim::SGDOptions(0.1)
                                            .momentum(options.momentum)
                                            .weight_decay(options.weight_decay)
                                            .nesterov(options.nesterov));
  for (int step = 0; step < 20; ++step) {
    // A parameter that gets its first gradient late: its momentum starts then.
    set_gradients(pair, pair.ours.size() - (late == Late::kLastParameter && step < 5 ? 1 : 0), 1.0);
    const double rate = step < 10 ? 0.1 : 0.01;
    static_cast<torch::optim::SGDOptions&>(theirs.param_groups()[0].options()).lr(rate);
    ours.step(rate);
    theirs.step();
    ASSERT_LE(worst(pair.ours, pair.theirs), tolerance) << "step " << step;
  }
}

TEST(Sgd, EqualsTorchInFloat64) {
  train_side_by_side(torch::kDouble, 1e-13, {0.9, 5e-4}, Late::kLastParameter);
  train_side_by_side(torch::kDouble, 1e-13, {0.8, 0.1, /*nesterov=*/true}, Late::kLastParameter);
  train_side_by_side(torch::kDouble, 1e-13, {0.0, 0.1}, Late::kNone);
  train_side_by_side(torch::kDouble, 1e-13, {0.9, 0.0}, Late::kNone);
}

TEST(Sgd, EqualsTorchInFloat32) {
  train_side_by_side(torch::kFloat, 2e-6, {0.9, 5e-4}, Late::kLastParameter);
  train_side_by_side(torch::kFloat, 4e-6, {0.9, 5e-4, /*nesterov=*/true}, Late::kLastParameter);
}

TEST(Sgd, NesterovNeedsAMomentum) {
  EXPECT_THROW(model::Sgd({torch::ones({2})}, {0.0, 0.0, /*nesterov=*/true}), c10::Error);
}

TEST(Sgd, LeavesGradientsAndParametersWithoutGradientAlone) {
  auto pair = make_parameters(torch::kFloat);
  set_gradients(pair, 2, 1.0);
  const auto gradient = pair.ours[0].grad().clone();
  const auto idle = pair.ours[3].detach().clone();
  model::Sgd sgd(pair.ours, {});

  sgd.step(0.1);
  sgd.step(0.1);

  EXPECT_TRUE(torch::equal(pair.ours[0].grad(), gradient));
  EXPECT_TRUE(torch::equal(pair.ours[3], idle));
  EXPECT_GT(sgd.momenta()[0].abs().max().item<float>(), 0);
  EXPECT_EQ(sgd.momenta()[3].abs().max().item<float>(), 0);
}

TEST(Sgd, RestoredMomentaContinueTheRun) {
  auto straight = make_parameters(torch::kFloat);
  auto resumed = make_parameters(torch::kFloat);
  model::Sgd one(straight.ours, {});
  model::Sgd before(resumed.ours, {});
  set_gradients(straight, straight.ours.size(), 1.0);
  for (std::size_t i = 0; i < straight.ours.size(); ++i)
    resumed.ours[i].mutable_grad() = straight.ours[i].grad().clone();
  one.step(0.1);
  before.step(0.1);

  model::Sgd after(resumed.ours, {});
  const auto saved = before.state();
  const auto target = after.state();
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_EQ(saved[0].suffix, "momentum");
  for (std::size_t i = 0; i < resumed.ours.size(); ++i)
    target[0].tensors[i].copy_(saved[0].tensors[i]);
  one.step(0.1);
  after.step(0.1);

  EXPECT_TRUE(same_bits(straight.ours, resumed.ours));
}

TEST(Sgd, OwnDecayForEachParameter) {
  auto pair = make_parameters(torch::kDouble);
  set_gradients(pair, pair.ours.size(), 1.0);
  const std::vector<double> decays = {0.1, 0.0, 0.1, 0.3, 0.0};
  model::Sgd sgd(pair.ours, {.momentum = 0.9, .weight_decay = 7.0}, decays);

  sgd.step(0.5);

  for (std::size_t i = 0; i < decays.size(); ++i) {
    const auto wanted = pair.theirs[i] - 0.5 * (pair.theirs[i].grad() + decays[i] * pair.theirs[i]);
    EXPECT_LE((pair.ours[i] - wanted).abs().max().item<double>(), 1e-14) << i;
  }
  EXPECT_THROW(model::Sgd(pair.ours, {}, {0.1}), c10::Error);
}

TEST(Sgd, SkippedUpdateChangesNoBit) {
  for (const auto gradient_type :
       {torch::kFloat, torch::kDouble}) {  // the fused kernel, and the general rule
    auto parameter = torch::randn({5, 3});
    auto momentum = torch::randn({5, 3});
    auto gradient = torch::full({5, 3}, std::numeric_limits<double>::quiet_NaN(), gradient_type);
    const auto before = clones({parameter, momentum});

    model::sgd_update({parameter}, {gradient}, {momentum}, {}, {0.1, torch::zeros({})});
    EXPECT_TRUE(same_bits({parameter, momentum}, before)) << gradient_type;

    gradient.fill_(1);
    model::sgd_update({parameter}, {gradient}, {momentum}, {}, {0.1, torch::ones({})});
    const auto velocity = 0.9 * before[1] + 1 + 5e-4 * before[0];
    EXPECT_LE(worst({parameter, momentum}, {before[0] - 0.1 * velocity, velocity}), 1e-6)
        << gradient_type;
  }
}

/// Rows of a matrix, updated in chunks that are views, are updated as the whole matrix; other
/// layouts of the gradient too.
TEST(Sgd, ChunksOfRowsAreUpdatedAsTheWhole) {
  torch::manual_seed(5);
  auto whole = torch::randn({10, 4});
  auto whole_momentum = torch::randn({10, 4});
  const auto gradient = torch::randn({10, 4});
  auto rows = whole.clone();
  auto rows_momentum = whole_momentum.clone();
  auto turned = whole.clone();
  auto turned_momentum = whole_momentum.clone();

  model::sgd_update({whole}, {gradient}, {whole_momentum}, {}, {0.1, {}});
  for (const auto& [begin, end] : std::vector<std::pair<int, int>>{{0, 4}, {4, 4}, {4, 10}}) {
    model::sgd_update({rows.slice(0, begin, end)}, {gradient.slice(0, begin, end)},
                      {rows_momentum.slice(0, begin, end)}, {}, {0.1, {}});
  }
  model::sgd_update({turned}, {gradient.t().contiguous().t()}, {turned_momentum}, {}, {0.1, {}});

  EXPECT_LE(worst({rows, rows_momentum}, {whole, whole_momentum}), 5e-7);
  EXPECT_LE(worst({turned, turned_momentum}, {whole, whole_momentum}), 5e-7);
  EXPECT_THROW(
      model::sgd_update({whole}, {gradient.slice(0, 0, 3)}, {whole_momentum}, {}, {0.1, {}}),
      c10::Error);
}

TEST(Sgd, RowsStoredInBfloat16AreRoundedOnce) {
  torch::manual_seed(6);
  const auto start = torch::randn({6, 8}).to(torch::kBFloat16);
  const auto gradient = torch::randn({6, 8});
  auto stored = start.clone();
  auto momentum = torch::zeros({6, 8}, torch::kBFloat16);

  model::sgd_update({stored}, {gradient}, {momentum}, {}, {0.1, {}});

  const auto exact = start.to(torch::kDouble);
  const auto velocity = gradient.to(torch::kDouble) + 5e-4 * exact;
  // Half a unit in the last of bfloat16's eight places, and a little for float32.
  EXPECT_LE(((stored.to(torch::kDouble) - (exact - 0.1 * velocity)) / (exact - 0.1 * velocity))
                .abs()
                .max()
                .item<double>(),
            1.001 / 256);
  EXPECT_LE(((momentum.to(torch::kDouble) - velocity) / velocity).abs().max().item<double>(),
            1.001 / 256);
}

struct SmallNet : torch::nn::Module {
  SmallNet() {
    conv = register_module("conv", torch::nn::Conv2d(3, 4, 3));
    norm = register_module("norm", torch::nn::BatchNorm2d(4));
    slope = register_module("slope", torch::nn::PReLU(torch::nn::PReLUOptions().num_parameters(4)));
    frozen = register_parameter("frozen", torch::ones({2}), /*requires_grad=*/false);
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  torch::nn::PReLU slope{nullptr};
  torch::Tensor frozen;
};

TEST(WeightDecays, BatchNormAndBiasesMayBeExempt) {
  const SmallNet net;
  EXPECT_THAT(model::decay_exempt(net),
              ::testing::UnorderedElementsAre("conv.bias", "norm.weight", "norm.bias"));

  // conv.weight, conv.bias, norm.weight, norm.bias, slope.weight; frozen is not trained
  EXPECT_EQ(model::weight_decays(net, 0.2, model::DecayOn::kWeights),
            (std::vector<double>{0.2, 0, 0, 0, 0.2}));
  EXPECT_EQ(model::weight_decays(net, 0.2, model::DecayOn::kAll), std::vector<double>(5, 0.2));
}

/// One update of ours, clipped inside, against torch's clipping and then torch's update.
TEST(GradientNorm, ClippedUpdatesEqualTorchAboveAndBelowTheLimit) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const double tolerance = type == torch::kFloat ? 1e-6 : 1e-13;
    for (const double scale : {0.01, 1.0, 1000.0}) {
      auto pair = make_parameters(type);
      set_gradients(pair, pair.ours.size() - 1, scale);
      model::Sgd ours(pair.ours, {});
      torch::optim::SGD theirs(pair.theirs,
                               torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(5e-4));

      const auto found = model::gradient_norm(model::gradients_of(pair.ours), {5.0, {}});
      const double wanted = torch::nn::utils::clip_grad_norm_(pair.theirs, 5.0);
      ours.step({0.1, found.finite, {}, found.divisor});
      theirs.step();

      EXPECT_NEAR(found.norm.item<double>() / wanted, 1.0, 1e-6);
      EXPECT_LE(worst(pair.ours, pair.theirs), tolerance) << scale;
      EXPECT_FALSE(pair.ours.back().grad().defined());
    }
  }
}

/// Parameters in 16 bit beside float32 gradients take the update without the fused kernel.
TEST(GradientNorm, TheUnfusedUpdateDividesToo) {
  const auto gradient = torch::full({6}, 8.0);
  auto narrow = torch::ones({6}, torch::kBFloat16),
       narrow_momentum = torch::zeros({6}, torch::kBFloat16);
  model::sgd_update({narrow}, {gradient}, {narrow_momentum}, {0.9, 0, false},
                    {0.5, {}, {}, torch::full({}, 16.0)});
  EXPECT_EQ(narrow_momentum[0].item<float>(), 0.5f);
  EXPECT_EQ(narrow[0].item<float>(), 0.75f);
}

TEST(GradientNorm, NothingToDoHasNoDivisor) {
  EXPECT_EQ(model::gradient_norm({}, {5.0, {}}).norm.item<float>(), 0.0f);
  EXPECT_EQ(model::gradient_norm({}, {5.0, {}}).finite.item<float>(), 1.0f);
  EXPECT_FALSE(model::gradient_norm({torch::ones({3})}, {}).divisor.defined());
}

TEST(GradientNorm, TakesTheLossScaleOutBeforeClipping) {
  for (const double max_norm : {0.0, 5.0, 1e6}) {
    const auto plain =
        std::vector<torch::Tensor>{torch::full({4}, 3.0), torch::full({2, 2}, 4.0)};  // norm 10
    const auto scaled = std::vector<torch::Tensor>{plain[0] * 1024, plain[1] * 1024};

    const auto found = model::gradient_norm(scaled, {max_norm, torch::full({}, 1024.0)});

    EXPECT_NEAR(found.norm.item<double>(), 10, 1e-5);
    EXPECT_EQ(found.finite.item<float>(), 1.0f);
    EXPECT_NEAR(found.divisor.item<double>(), max_norm == 5.0 ? 2048 : 1024, 1e-3) << max_norm;
    EXPECT_EQ(scaled[0][0].item<float>(), 3 * 1024.0f);
  }
}

TEST(GradientNorm, OneBadElementAnywhereIsFound) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const auto type : {torch::kFloat, torch::kBFloat16, torch::kHalf}) {
      auto gradients =
          std::vector<torch::Tensor>{torch::ones({3}, type), torch::ones({5, 2}, type)};
      gradients[1][4][1] = -bad;
      EXPECT_EQ(model::gradient_norm(gradients, {5.0, {}}).finite.item<float>(), 0.0f)
          << bad << " " << type;
    }
  }
  // 16-bit gradients whose squares would overflow in their own type are fine.
  EXPECT_EQ(model::gradient_norm({torch::full({9}, 1000.0, torch::kHalf)}, {}).norm.item<float>(),
            3000.0f);
}

}  // namespace
}  // namespace diffprob::tests
