// Blocks of an IResNet as a GPU runs them, forward and backward, with every kernel and all that
// calls it on the host (tests/support/simt), against LibTorch's layers in float64.
#include <gtest/gtest.h>

#include "tests/support/simt/emulated_gpu.h"

#include "model/batch_norm/batch_norm.h"
#include "model/folded_norm/folded_norm.h"
#include "model/folded_norm/gpu_ops.h"

namespace diffprob::emulated_model {
namespace {

namespace nn = torch::nn;

constexpr std::int64_t kChannels = 16, kBlocks = 2;

/// The layers of a block without a stride.
struct BlockImpl : nn::Module {
  BlockImpl() {
    const auto convolution = [] {
      return nn::Conv2d(nn::Conv2dOptions(kChannels, kChannels, 3).padding(1).bias(false));
    };
    bn1 = register_module("bn1", nn::BatchNorm2d(kChannels));
    conv1 = register_module("conv1", convolution());
    bn2 = register_module("bn2", nn::BatchNorm2d(kChannels));
    prelu = register_module("prelu", nn::PReLU(nn::PReLUOptions().num_parameters(kChannels)));
    conv2 = register_module("conv2", convolution());
    bn3 = register_module("bn3", nn::BatchNorm2d(kChannels));
  }
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr}, bn3{nullptr};
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::PReLU prelu{nullptr};
};

struct Blocks : nn::Module {
  explicit Blocks(double slope) {
    for (std::int64_t i = 0; i < kBlocks; ++i)
      blocks.push_back(register_module("block" + std::to_string(i), std::make_shared<BlockImpl>()));
    const at::NoGradGuard no_grad;
    auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
    for (const auto& item : named_parameters()) {
      const bool scale = item.value().dim() == 1 && item.key().ends_with("weight");
      const double middle = !scale ? 0 : item.key().find("prelu") == std::string::npos ? 1 : slope;
      const at::Tensor drawn = at::randn(item.value().sizes(), generator, at::kFloat);
      at::Tensor(item.value()).copy_(drawn * 0.1 + middle);
      if (item.value().dim() == 4)
        item.value().set_data(item.value().contiguous(at::MemoryFormat::ChannelsLast));
    }
  }
  std::vector<std::shared_ptr<BlockImpl>> blocks;
};

using Results = std::map<std::string, at::Tensor>;

/// body(x, block) -> output; x and the gradient of the last output have this type.
template <class Body>
Results run(Blocks& net, at::ScalarType type, const Body& body) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(4);
  const auto random = [&] {
    return at::randn({6, kChannels, 7, 5}, generator, at::kFloat)
        .to(at::kHalf)  // the same numbers for every type
        .to(type)
        .contiguous(at::MemoryFormat::ChannelsLast);
  };
  const at::Tensor leaf = random().requires_grad_(true), gradient = random();
  at::Tensor x = leaf * 1;
  for (const auto& block : net.blocks) x = body(x, *block);
  x.backward(gradient);
  Results results = {{"y", x.detach()}, {"x.grad", leaf.grad()}};
  for (const auto& item : net.named_parameters()) results[item.key()] = item.value().grad();
  for (const auto& item : net.named_buffers()) results[item.key()] = item.value().clone();
  return results;
}

Results by_library(double slope) {
  Blocks net(slope);
  net.to(at::kDouble);
  return run(net, at::kDouble, [](const at::Tensor& x, BlockImpl& block) {
    const at::Tensor y = block.prelu(block.bn2(block.conv1(block.bn1(x))));
    return block.bn3(block.conv2(y)) + x;
  });
}

Results by_kernels(at::ScalarType type, double slope, bool folded, bool sum_outputs) {
  Blocks net(slope);
  BatchNormContext context;
  context.sum_outputs = sum_outputs;
  Results results = run(net, type, [&](const at::Tensor& x, BlockImpl& block) {
    const auto weight_of = [&](const nn::Conv2d& layer) { return layer->weight.to(type); };
    at::Tensor y, shortcut;
    EXPECT_TRUE(can_fold(*block.bn1, *block.conv1, x, context));
    EXPECT_TRUE(gpu::has_fold_kernels(block.conv1->weight));
    if (folded) {
      std::tie(y, shortcut) = folded_norm_convolution(*block.bn1, *block.conv1,
                                                      weight_of(block.conv1).detach(), x, context);
    } else {
      std::tie(y, shortcut) = batch_norm_fork(*block.bn1, x, context);
      y = at::conv2d(y, weight_of(block.conv1), {}, 1, 1);
    }
    y = batch_norm_prelu(*block.bn2, *block.prelu, y, context);
    y = at::conv2d(y, weight_of(block.conv2), {}, 1, 1);
    return batch_norm_add(*block.bn3, y, shortcut, context, OutputGoesTo::kBatchNorm);
  });
  return results;
}

void expect_close(const Results& found, const Results& wanted, double within) {
  ASSERT_EQ(found.size(), wanted.size());
  double worst = 0;
  for (const auto& [name, tensor] : wanted) {
    const at::Tensor expected = tensor.to(at::kDouble);
    const double error =
        ((found.at(name).to(at::kDouble) - expected).norm() / expected.norm().clamp_min(1))
            .item<double>();
    worst = std::max(worst, error);
    EXPECT_LE(error, within) << name;
  }
  std::printf("worst relative error %.2g (allowed %.2g)\n", worst, within);
}

class EmulatedBlocks : public ::testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  static void expect_layers(at::ScalarType type, double slope, double within) {
    const auto [folded, sum_outputs] = GetParam();
    expect_close(by_kernels(type, slope, folded, sum_outputs), by_library(slope), within);
  }
};

TEST_P(EmulatedBlocks, Float32) {
  expect_layers(at::kFloat, 0.25, 1e-5);
}
/// With slopes near one: a value that rounding puts on the other side of a PReLU with a small slope
/// would move gradients by more than rounding does.
TEST_P(EmulatedBlocks, SixteenBits) {
  expect_layers(at::kHalf, 1, 2e-2);
  expect_layers(at::kBFloat16, 1, 5e-2);
}

INSTANTIATE_TEST_SUITE_P(Ways, EmulatedBlocks,
                         ::testing::Combine(::testing::Bool(), ::testing::Bool()),
                         [](const auto& entry) {
                           return std::string(std::get<0>(entry.param) ? "folded" : "fork") +
                                  (std::get<1>(entry.param) ? "_with_sums" : "");
                         });

}  // namespace
}  // namespace diffprob::emulated_model
