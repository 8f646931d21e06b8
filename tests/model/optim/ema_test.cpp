// Moving average of the weights, and buffers that a skipped update gives back.
#include "model/optim/ema.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "model/optim/buffer_snapshot.h"
#include "tests/model/optimizer_test_support.h"

namespace diffprob::tests {
namespace {

torch::nn::Sequential make_net() {
  torch::manual_seed(4);
  return torch::nn::Sequential(torch::nn::Linear(3, 4), torch::nn::BatchNorm1d(4),
                               torch::nn::Linear(4, 2));
}

std::vector<torch::Tensor> tensors_of(const model::StateDict& entries) {
  std::vector<torch::Tensor> tensors;
  for (const auto& entry : entries) tensors.push_back(entry.second);
  return tensors;
}

TEST(Ema, IsTheAverageWrittenOut) {
  auto net = make_net();
  model::Ema ema(*net, 0.9);
  auto wanted = clones(tensors_of(model::state_dict(*net)));
  for (int step = 0; step < 10; ++step) {
    net->forward(torch::randn({8, 3}));  // moves the statistics
    const torch::NoGradGuard no_grad;
    for (auto& parameter : net->parameters()) parameter.add_(torch::randn_like(parameter));

    ema.update();

    const auto values = tensors_of(model::state_dict(*net));
    for (std::size_t i = 0; i < values.size(); ++i) {
      wanted[i] = values[i].is_floating_point() ? 0.9 * wanted[i] + 0.1 * values[i].detach()
                                                : values[i].clone();
    }
    ASSERT_LE(worst(tensors_of(ema.state()), wanted), 2e-6) << "step " << step;
  }
  EXPECT_EQ(ema.state().size(), model::state_dict(*net).size());
  EXPECT_GT(worst(tensors_of(ema.state()), tensors_of(model::state_dict(*net))), 0.1);
}

TEST(Ema, SwappedForEvaluationAndBack) {
  auto net = make_net();
  model::Ema ema(*net, 0.5);
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : net->parameters()) parameter.add_(1);
  }
  ema.update();
  const auto trained = clones(tensors_of(model::state_dict(*net)));
  const auto averaged = clones(tensors_of(ema.state()));
  ASSERT_FALSE(same_bits(trained, averaged));
  {
    const model::Ema::Swapped swapped(ema);
    EXPECT_TRUE(same_bits(tensors_of(model::state_dict(*net)), averaged));
  }
  EXPECT_TRUE(same_bits(tensors_of(model::state_dict(*net)), trained));
  EXPECT_TRUE(same_bits(tensors_of(ema.state()), averaged));
}

TEST(Ema, WantsADecayBelowOne) {
  auto net = make_net();
  EXPECT_THROW(model::Ema(*net, 1.0), c10::Error);
  EXPECT_THROW(model::Ema(*net, -0.1), c10::Error);
}

TEST(BufferSnapshot, SpoiltBatchLeavesNoTrace) {
  auto net = make_net();
  model::BufferSnapshot buffers(*net);
  net->forward(torch::randn({8, 3}));
  const auto before = clones(net->buffers());
  buffers.save();
  net->forward(torch::full({8, 3}, std::numeric_limits<float>::quiet_NaN()));
  ASSERT_TRUE(net->buffers()[0].isnan().any().item<bool>());

  buffers.restore_if_skipped(torch::zeros({}));

  EXPECT_TRUE(same_bits(net->buffers(), before));

  buffers.save();
  net->forward(torch::randn({8, 3}));
  const auto after = clones(net->buffers());
  buffers.restore_if_skipped(torch::ones({}));
  EXPECT_TRUE(same_bits(net->buffers(), after));
  EXPECT_FALSE(same_bits(after, before));
}

}  // namespace
}  // namespace diffprob::tests
