#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "model/batch_norm/batch_norm.h"
#include "model/networks/backbone.h"
#include "model/networks/convolution.h"

namespace diffprob::model {

struct IResNetShape {
  std::array<std::int64_t, 4> blocks = {3, 4, 14, 3};
  std::array<std::int64_t, 4> channels = {64, 128, 256, 512};
  std::int64_t stem_stride = 1;
  bool squeeze_excitation = false;
};

/// "iresnet18" ... "iresnet200", with "_se", and "tiny"; nothing for another name.
[[nodiscard]] std::optional<IResNetShape> iresnet_shape(const std::string& name);

/// Channel weights from the channel means (Hu et al., CVPR 2018), reduction 16.
class SqueezeExcitation : public torch::nn::Module {
 public:
  explicit SqueezeExcitation(std::int64_t channels);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Conv2d fc1_{nullptr}, fc2_{nullptr};
};

/// What the blocks of one network have in common.
struct IResNetBlocks {
  std::shared_ptr<BatchNormContext> norms;
  ConvolutionContext convolutions{};
  bool squeeze_excitation = false;
  bool recompute = false;
  bool fold_norms = false;
};

/// BN, 3x3, BN, PReLU, 3x3 with stride, BN, plus the (downsampled) input.
class IResNetBlock : public torch::nn::Module {
 public:
  IResNetBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const IResNetBlocks& common);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::Tensor compute(const torch::Tensor& x);
  /// Returns {conv1(bn1(x)), x}.
  std::pair<torch::Tensor, torch::Tensor> first_convolution(const torch::Tensor& x);

  IResNetBlocks common_;
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr}, bn3_{nullptr};
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::PReLU prelu_{nullptr};
  torch::nn::Conv2d downsample_conv_{nullptr};
  torch::nn::BatchNorm2d downsample_bn_{nullptr};
  std::shared_ptr<SqueezeExcitation> se_;
};

/// The improved ResNet of ArcFace (Deng et al., CVPR 2019): every stage halves the picture; BN,
/// dropout, FC, BN at the end. The last BN's weight is 1 and never trained.
class IResNet : public Backbone {
 public:
  IResNet(const IResNetShape& shape, const BackboneOptions& options);
  torch::Tensor forward(torch::Tensor faces) override;
  [[nodiscard]] std::int64_t embedding_dim() const override { return embedding_dim_; }

 private:
  [[nodiscard]] torch::nn::Sequential make_stage(std::int64_t in, std::int64_t out,
                                                 std::int64_t blocks) const;

  std::int64_t embedding_dim_;
  double dropout_;
  bool channels_last_on_cpu_;
  IResNetBlocks common_;
  torch::nn::Conv2d conv1_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr};
  torch::nn::PReLU prelu_{nullptr};
  std::array<torch::nn::Sequential, 4> stages_{nullptr, nullptr, nullptr, nullptr};
  torch::nn::Linear fc_{nullptr};
  torch::nn::BatchNorm1d features_{nullptr};
};

}  // namespace diffprob::model
