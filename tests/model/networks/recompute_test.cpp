// Blocks run again in the backward pass: the same gradients and running statistics, bit for bit.
#include <gtest/gtest.h>

#include "model/networks/backbone.h"
#include "model/networks/recompute.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

struct Trained {
  at::Tensor embeddings;
  std::map<std::string, at::Tensor> gradients;
  StateDict state;
};

Trained train_once(BackboneOptions options, bool recompute) {
  options.recompute = recompute;
  const auto net = make_backbone(options);
  net->train();
  net->set_step_context({.key = 5, .first_row = 2});
  const at::Tensor faces =
      at::rand({4, 3, 112, 112}, at::make_generator<at::CPUGeneratorImpl>(7)) * 2 - 1;
  const at::Tensor weights =
      at::randn({4, options.embedding_dim}, at::make_generator<at::CPUGeneratorImpl>(8));
  Trained result;
  result.embeddings = net->forward(faces);
  (result.embeddings * weights).sum().backward();
  for (const auto& item : net->named_parameters()) {
    if (item.value().grad().defined()) result.gradients[item.key()] = item.value().grad();
  }
  result.state = state_dict(*net);
  return result;
}

class RecomputedNetwork : public ::testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(RecomputedNetwork, GradientsAndStatisticsAreBitEqual) {
  const BackboneOptions options = {.name = std::get<0>(GetParam()),
                                   .embedding_dim = 32,
                                   .dropout = 0.4,
                                   .fused_batch_norm = std::get<1>(GetParam())};

  const Trained kept = train_once(options, false), repeated = train_once(options, true);

  EXPECT_TRUE(at::equal(kept.embeddings, repeated.embeddings));
  ASSERT_EQ(kept.gradients.size(), repeated.gradients.size());
  for (const auto& [name, gradient] : kept.gradients)
    EXPECT_TRUE(at::equal(gradient, repeated.gradients.at(name))) << name;
  for (std::size_t i = 0; i < kept.state.size(); ++i) {
    EXPECT_TRUE(at::equal(kept.state[i].second, repeated.state[i].second)) << kept.state[i].first;
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, RecomputedNetwork,
                         ::testing::Combine(::testing::Values("tiny", "mobilefacenet", "mbf",
                                                              "vit_nano"),
                                            ::testing::Bool()),
                         [](const auto& entry) {
                           return std::string(std::get<0>(entry.param)) +
                                  (std::get<1>(entry.param) ? "_fused" : "_library");
                         });

/// Statistics that come from the pass before are those of a pass of their own, and a repetition
/// takes no sums of another pass.
TEST(RecomputedNetworkWithSums, GradientsAndStatisticsAreBitEqual) {
  BackboneOptions options = {.name = "tiny", .embedding_dim = 32, .dropout = 0.4};
  const Trained plain = train_once(options, false);
  options.sum_outputs = true;
  for (const bool recompute : {false, true}) {
    const Trained summed = train_once(options, recompute);
    EXPECT_TRUE(at::equal(plain.embeddings, summed.embeddings));
    for (const auto& [name, gradient] : plain.gradients)
      EXPECT_TRUE(at::equal(gradient, summed.gradients.at(name))) << name;
    for (std::size_t i = 0; i < plain.state.size(); ++i) {
      EXPECT_TRUE(at::equal(plain.state[i].second, summed.state[i].second)) << plain.state[i].first;
    }
  }
}

TEST(RecomputedNetworkWithFoldedNorms, GradientsAndStatisticsAreBitEqual) {
  const BackboneOptions options = {
      .name = "tiny", .embedding_dim = 32, .dropout = 0.4, .sum_outputs = true, .fold_norms = true};
  const Trained kept = train_once(options, false), repeated = train_once(options, true);
  EXPECT_TRUE(at::equal(kept.embeddings, repeated.embeddings));
  for (const auto& [name, gradient] : kept.gradients)
    EXPECT_TRUE(at::equal(gradient, repeated.gradients.at(name))) << name;
  for (std::size_t i = 0; i < kept.state.size(); ++i) {
    EXPECT_TRUE(at::equal(kept.state[i].second, repeated.state[i].second)) << kept.state[i].first;
  }
}

TEST(Recompute, RunsTheBlockTwiceAndKeepsNothingBetween) {
  const auto context = std::make_shared<BatchNormContext>();
  int runs = 0;
  std::weak_ptr<int> alive;
  at::Tensor y;
  const at::Tensor weight = at::full({}, 3.0).requires_grad_(true);
  {
    const auto token = std::make_shared<int>(0);
    alive = token;
    const at::Tensor x = at::ones({2, 2}).requires_grad_(true);
    y = recomputed(
        [&runs, token, weight](const at::Tensor& input) {
          ++runs;
          return input * weight;
        },
        x, context);
    EXPECT_EQ(runs, 1);
    y.sum().backward();
    EXPECT_EQ(runs, 2);
    EXPECT_TRUE(at::equal(x.grad(), at::full({2, 2}, 3.0)));
    EXPECT_EQ(weight.grad().item<double>(), 4.0);
    EXPECT_EQ(context->tape, nullptr);
  }
  y.reset();
  EXPECT_TRUE(alive.expired());
}

TEST(Recompute, WithoutGradientsTheBlockRunsOnce) {
  const auto context = std::make_shared<BatchNormContext>();
  int runs = 0;
  const torch::NoGradGuard no_grad;
  (void)recomputed([&runs](const at::Tensor& x) { return ++runs, x + 1; }, at::ones({2}), context);
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace diffprob::model
