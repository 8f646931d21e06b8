// Convolutions by a 16-bit copy of their weight, and gradients that lie where they belong.
#include "model/networks/convolution.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include "model/networks/sixteen_bit_weights.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kIn = 16, kOut = 24;

/// A layer, its weight in bfloat16, and memory for its gradient.
struct Layer {
  explicit Layer(std::int64_t groups = 1) {
    torch::manual_seed(3);
    network->push_back(torch::nn::Conv2d(
        torch::nn::Conv2dOptions(kIn, kOut, 3).stride(2).padding(1).groups(groups).bias(false)));
    weights.follow(*network, at::kBFloat16);
    weights.refresh();
    memory = at::full_like(convolution().weight, 7).detach();
    places.set(convolution().weight, memory);
    x = torch::randn({3, kIn, 9, 9});
  }
  torch::nn::Conv2dImpl& convolution() { return *network[0]->as<torch::nn::Conv2d>(); }
  at::Tensor operator()(const at::Tensor& input) {
    return model::convolution(convolution(), input, {&weights, &places});
  }
  at::Tensor& gradient() { return convolution().weight.mutable_grad(); }

  torch::nn::Sequential network;
  SixteenBitWeights weights;
  dist::GradientPlaces places;
  at::Tensor memory, x;
};

/// The same by LibTorch's convolution of rounded values; gradients in bfloat16.
struct Expected {
  Expected(Layer& layer, const at::Tensor& grad) {
    const auto& options = layer.convolution().options;
    x = layer.x.to(at::kBFloat16).requires_grad_();
    weight = layer.convolution().weight.detach().to(at::kBFloat16).requires_grad_();
    y = at::conv2d(x, weight, {}, *options.stride(), 1, 1, options.groups());
    y.backward(grad);
  }
  at::Tensor x, weight, y;
};

TEST(Convolution, IsThatOfRoundedValues) {
  for (const std::int64_t groups : {1, 8}) {
    Layer layer(groups);
    const at::Tensor x = layer.x.clone().requires_grad_();
    const at::Tensor y = layer(x);
    const at::Tensor grad = torch::randn_like(y);
    const Expected expected(layer, grad);
    y.backward(grad);
    EXPECT_TRUE(at::equal(y, expected.y));
    EXPECT_TRUE(at::equal(x.grad(), expected.x.grad().to(at::kFloat)));
    EXPECT_TRUE(at::equal(layer.gradient(), expected.weight.grad().to(at::kFloat)));
  }
}

TEST(Convolution, ItsGradientLiesInItsPlace) {
  Layer layer;
  const at::Tensor y = layer(layer.x);
  y.sum().backward();
  EXPECT_EQ(layer.gradient().data_ptr(), layer.memory.data_ptr());
  EXPECT_EQ(layer.gradient().strides(), layer.convolution().weight.strides());
}

TEST(Convolution, ASecondUseAndASecondBackwardAddUp) {
  Layer layer;
  const at::Tensor ones = at::ones({3, kOut, 5, 5}, at::kBFloat16);
  const Expected once(layer, ones);
  const at::Tensor single = once.weight.grad().to(at::kFloat);

  (layer(layer.x) + layer(layer.x)).backward(ones);
  EXPECT_TRUE(at::equal(layer.gradient(), 2 * single));
  layer(layer.x).backward(ones);
  EXPECT_TRUE(at::equal(layer.gradient(), 3 * single));

  layer.gradient() = at::Tensor();
  layer.places.release();
  layer(layer.x).backward(ones);
  EXPECT_TRUE(at::equal(layer.gradient(), single));
  EXPECT_EQ(layer.gradient().data_ptr(), layer.memory.data_ptr());
}

TEST(Convolution, FollowsTheWeightFromRefreshToRefresh) {
  Layer layer;
  const at::Tensor before = layer(layer.x);
  {
    const torch::NoGradGuard no_grad;
    layer.convolution().weight.mul_(2);
  }
  EXPECT_TRUE(at::equal(layer(layer.x), before));
  layer.weights.refresh();
  EXPECT_TRUE(at::equal(layer(layer.x), 2 * before));
}

TEST(Convolution, WithoutACopyOrInEvaluationItIsTheLayers) {
  Layer layer;
  const at::Tensor own = layer.convolution().forward(layer.x);
  EXPECT_TRUE(at::equal(model::convolution(layer.convolution(), layer.x, {}), own));
  layer.network->eval();
  EXPECT_TRUE(at::equal(layer(layer.x), own));
}

}  // namespace
}  // namespace diffprob::model
