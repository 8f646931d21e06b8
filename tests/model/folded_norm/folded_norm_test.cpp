// A batch norm folded into the convolution after it, against LibTorch's operators one after the
// other: values, gradients, running statistics. Another batch norm follows, as it has to.
#include <gtest/gtest.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include "model/batch_norm/batch_norm.h"
#include "model/folded_norm/folded_norm.h"
#include "model/networks/activation_format.h"
#include "tests/support/test_device.h"

namespace diffprob::model {
namespace {

namespace nn = torch::nn;

/// Input [N, C, H, W] and output channels. Pictures of one line have pixels that lack taps on both
/// sides.
struct Shape {
  std::int64_t count, channels, rows, columns, outputs;
};
const std::vector<Shape> kShapes = {{3, 16, 6, 5, 24}, {2, 8, 2, 2, 8},   {4, 8, 1, 6, 16},
                                    {4, 8, 5, 1, 8},   {6, 16, 1, 1, 16}, {2, 64, 14, 14, 32}};

struct Block : nn::Module {
  Block(const Shape& shape, at::ScalarType type)
      : first(register_module("first", nn::BatchNorm2d(shape.channels))),
        convolution(register_module(
            "convolution",
            nn::Conv2d(
                nn::Conv2dOptions(shape.channels, shape.outputs, 3).padding(1).bias(false)))),
        second(register_module("second", nn::BatchNorm2d(shape.outputs))),
        prelu(
            register_module("prelu", nn::PReLU(nn::PReLUOptions().num_parameters(shape.outputs)))) {
    const at::NoGradGuard no_grad;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
    for (const auto& parameter : parameters())
      parameter.copy_(at::randn(parameter.sizes(), generator, at::kFloat) * 0.3);
    for (auto* norm : {&first, &second}) (*norm)->weight.add_(1);
    to(tests::test_device(), type);
    lay_out_weights(*this);
  }
  nn::BatchNorm2d first;
  nn::Conv2d convolution;
  nn::BatchNorm2d second;
  nn::PReLU prelu;
};

using Results = std::map<std::string, at::Tensor>;

Results run(const Shape& shape, at::ScalarType type, bool folded) {
  Block block(shape, type == at::kDouble ? at::kDouble : at::kFloat);
  auto generator = at::make_generator<at::CPUGeneratorImpl>(4);
  const auto random = [&](std::int64_t channels) {
    return at::randn({shape.count, channels, shape.rows, shape.columns}, generator, at::kFloat)
        .to(tests::test_device(), type)
        .contiguous(at::MemoryFormat::ChannelsLast);
  };
  const at::Tensor leaf = (random(shape.channels) * 1.5 + 0.7).requires_grad_(true);
  const at::Tensor gradient = random(shape.outputs), around = random(shape.channels);
  const at::Tensor x = leaf * 1;  // a gradient goes on from here
  BatchNormContext context;
  at::Tensor y, shortcut;
  if (folded) {
    std::tie(y, shortcut) = folded_norm_convolution(
        *block.first, *block.convolution, block.convolution->weight.detach().to(type), x, context);
    y = batch_norm_prelu(*block.second, *block.prelu, y, context);
  } else {
    const at::ScalarType wide = type == at::kDouble ? at::kDouble : at::kFloat;
    y = block.second(block.convolution(block.first(x.to(wide))));
    y = block.prelu(y);
    shortcut = x;
  }
  ((y * gradient).sum() + (shortcut * around).sum()).backward();
  Results results = {{"y", y.detach()}, {"x.grad", leaf.grad()}};
  for (const auto& item : block.named_parameters()) results[item.key()] = item.value().grad();
  for (const auto& item : block.named_buffers()) results[item.key()] = item.value();
  for (auto& [name, tensor] : results) tensor = tensor.to(at::kCPU, at::kDouble);
  return results;
}

/// Of the norm, and of one: sums that cancel leave rounding.
double error_of(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).norm() / wanted.norm().clamp_min(1)).item<double>();
}

void expect_close(const Shape& shape, at::ScalarType type, double within) {
  SCOPED_TRACE(::testing::Message() << shape.count << " x " << shape.channels << " x " << shape.rows
                                    << " x " << shape.columns);
  const Results found = run(shape, type, true),
                wanted = run(shape, type == at::kDouble ? type : at::kFloat, false);
  ASSERT_EQ(found.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    EXPECT_LE(error_of(found.at(name), tensor), within) << name;
  }
}

/// The identities of ops.h.
TEST(FoldedNorm, Float64IsThatOfTheLayersInTurn) {
  for (const Shape& shape : kShapes) expect_close(shape, at::kDouble, 1e-11);
}

TEST(FoldedNorm, Float32AndRunningStatisticsAreThoseOfTheLayersInTurn) {
  const double within = tests::test_device().is_cuda() ? 1e-3 : 2e-4;  // float32 sums there
  for (const Shape& shape : kShapes) expect_close(shape, at::kFloat, within);
}

/// Beside float32: rounding of x, of the weights, of y and of its gradient to 11 or 8 digits, and
/// values that end on the other side of the PReLU.
TEST(FoldedNorm, SixteenBitsRoundOnly) {
  if (!tests::test_device().is_cuda()) GTEST_SKIP() << "16 bits have kernels on a GPU alone";
  const Shape large = {16, 64, 14, 14, 64};
  expect_close(large, at::kHalf, 3e-2);
  expect_close(large, at::kBFloat16, 0.2);
}

TEST(FoldedNorm, IsForPlainConvolutionsInTraining) {
  const Shape shape = {2, 8, 4, 4, 8};
  Block block(shape, at::kFloat);
  BatchNormContext context;
  const at::Tensor x =
      at::ones({2, 8, 4, 4}, tests::test_device()).contiguous(at::MemoryFormat::ChannelsLast);
  const auto folds = [&](const nn::Conv2dOptions& options) {
    nn::Conv2d layer(options);
    layer->to(tests::test_device());
    return can_fold(*block.first, *layer, x, context);
  };
  const auto plain = [] { return nn::Conv2dOptions(8, 8, 3).padding(1).bias(false); };
  EXPECT_TRUE(folds(plain()));
  EXPECT_FALSE(folds(plain().stride(2)));
  EXPECT_FALSE(folds(plain().padding(0)));
  EXPECT_FALSE(folds(plain().padding(torch::kSame)));
  EXPECT_FALSE(folds(plain().dilation(2)));
  EXPECT_FALSE(folds(plain().groups(2)));
  EXPECT_FALSE(folds(plain().bias(true)));
  EXPECT_FALSE(folds(nn::Conv2dOptions(8, 8, 1).bias(false)));
  EXPECT_FALSE(folds(nn::Conv2dOptions(8, 12, 3).padding(1).bias(false)));
  EXPECT_FALSE(can_fold(*block.first, *block.convolution, x.to(at::kDouble), context));
  context.fused = false;
  EXPECT_FALSE(folds(plain()));
  context.fused = true;
  block.first->eval();
  EXPECT_FALSE(folds(plain()));
}

}  // namespace
}  // namespace diffprob::model
