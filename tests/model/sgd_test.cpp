// Sgd and clip_grad_norm against LibTorch's own.
#include "model/sgd.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace diffprob::tests {
namespace {

struct Pair {
  std::vector<torch::Tensor> ours;
  std::vector<torch::Tensor> theirs;
};

Pair make_parameters(torch::Dtype dtype) {
  torch::manual_seed(3);
  Pair pair;
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{{7, 5}, {3}, {4, 3, 3, 3}, {1}, {11}}) {
    auto values = torch::randn(sizes, dtype);
    if (sizes.size() == 4) values = values.contiguous(torch::MemoryFormat::ChannelsLast);
    pair.ours.push_back(values.clone().set_requires_grad(true));
    pair.theirs.push_back(values.clone().set_requires_grad(true));
  }
  return pair;
}

void set_gradients(Pair& pair, std::size_t count, double scale) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto gradient = torch::randn_like(pair.ours[i]) * scale;
    pair.ours[i].mutable_grad() = gradient.clone();
    pair.theirs[i].mutable_grad() = gradient.clone();
  }
}

double worst(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, (a[i] - b[i]).abs().max().item<double>());
  return worst;
}

void train_side_by_side(torch::Dtype dtype, double tolerance) {
  auto pair = make_parameters(dtype);
  model::Sgd ours(pair.ours, {.momentum = 0.9, .weight_decay = 5e-4});
  torch::optim::SGD theirs(pair.theirs, torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(5e-4));
  for (int step = 0; step < 20; ++step) {
    // The last parameter gets its first gradient late: its momentum starts then.
    set_gradients(pair, pair.ours.size() - (step < 5 ? 1 : 0), 1.0);
    const double rate = step < 10 ? 0.1 : 0.01;
    static_cast<torch::optim::SGDOptions&>(theirs.param_groups()[0].options()).lr(rate);
    ours.step(rate);
    theirs.step();
    ASSERT_LE(worst(pair.ours, pair.theirs), tolerance) << "step " << step;
  }
}

TEST(Sgd, EqualsTorchInFloat64) {
  train_side_by_side(torch::kDouble, 1e-13);
}
TEST(Sgd, EqualsTorchInFloat32) {
  train_side_by_side(torch::kFloat, 2e-6);
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
  EXPECT_TRUE(sgd.momenta()[0].defined());
  EXPECT_FALSE(sgd.momenta()[3].defined());
}

TEST(Sgd, RestoredMomentaContinueTheRun) {
  auto straight = make_parameters(torch::kFloat);
  auto resumed = make_parameters(torch::kFloat);
  model::Sgd one(straight.ours, {});
  model::Sgd before(resumed.ours, {});
  set_gradients(straight, straight.ours.size(), 1.0);
  for (std::size_t i = 0; i < straight.ours.size(); ++i) resumed.ours[i].mutable_grad() = straight.ours[i].grad().clone();
  one.step(0.1);
  before.step(0.1);

  model::Sgd after(resumed.ours, {});
  for (std::size_t i = 0; i < resumed.ours.size(); ++i) after.momenta()[i] = before.momenta()[i].clone();
  one.step(0.1);
  after.step(0.1);

  EXPECT_EQ(worst(straight.ours, resumed.ours), 0.0);
}

TEST(ClipGradNorm, EqualsTorchAboveAndBelowTheLimit) {
  for (const double scale : {0.01, 1.0, 1000.0}) {
    auto pair = make_parameters(torch::kFloat);
    set_gradients(pair, pair.ours.size() - 1, scale);

    const auto norm = model::clip_grad_norm(pair.ours, 5.0);
    const double wanted = torch::nn::utils::clip_grad_norm_(pair.theirs, 5.0);

    EXPECT_NEAR(norm.item<double>() / wanted, 1.0, 1e-6);
    for (std::size_t i = 0; i + 1 < pair.ours.size(); ++i) {
      EXPECT_LE((pair.ours[i].grad() - pair.theirs[i].grad()).abs().max().item<double>(), 1e-6);
    }
    EXPECT_FALSE(pair.ours.back().grad().defined());
  }
}

TEST(ClipGradNorm, NoGradientsHaveNormZero) {
  EXPECT_EQ(model::clip_grad_norm(make_parameters(torch::kFloat).ours, 5.0).item<float>(), 0.0f);
}

}  // namespace
}  // namespace diffprob::tests
