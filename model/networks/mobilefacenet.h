#pragma once

#include <cstdint>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "model/batch_norm/batch_norm.h"
#include "model/networks/backbone.h"

namespace diffprob::model {

/// A square convolution, batch norm and, when asked, PReLU.
struct ConvolutionShape {
  std::int64_t in = 0;
  std::int64_t out = 0;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool prelu = true;
};

class ConvolutionBlock : public torch::nn::Module {
 public:
  ConvolutionBlock(const ConvolutionShape& shape, std::shared_ptr<BatchNormContext> context);
  torch::Tensor forward(const torch::Tensor& x);
  /// As the first layer of a network (stem_convolution).
  torch::Tensor forward_faces(const torch::Tensor& faces);
  /// forward(x) + residual, for blocks without PReLU.
  torch::Tensor forward_add(const torch::Tensor& x, const torch::Tensor& residual);

 private:
  torch::Tensor normalized(const torch::Tensor& y);

  std::shared_ptr<BatchNormContext> norm_context_;
  torch::nn::Conv2d conv_{nullptr};
  torch::nn::BatchNorm2d bn_{nullptr};
  torch::nn::PReLU prelu_{nullptr};
};

/// Inverted bottleneck: 1x1 to `width` channels, 3x3 depthwise with stride, 1x1 to `out`; stride 1
/// and in == out as asked by the network's residual stages add the input.
class DepthwiseBlock : public torch::nn::Module {
 public:
  enum class Shortcut { kNone, kAddInput };
  DepthwiseBlock(std::int64_t in, std::int64_t out, std::int64_t width, std::int64_t stride,
                 Shortcut shortcut, std::shared_ptr<BatchNormContext> context, bool recompute);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::Tensor compute(const torch::Tensor& x);

  std::shared_ptr<BatchNormContext> norm_context_;
  bool recompute_;
  std::shared_ptr<ConvolutionBlock> conv_, conv_dw_, project_;
  Shortcut shortcut_;
};

/// `blocks` depthwise blocks with shortcut, children "model.0", "model.1", ...
class ResidualStage : public torch::nn::Module {
 public:
  ResidualStage(std::int64_t channels, std::int64_t width, std::int64_t blocks,
                const std::shared_ptr<BatchNormContext>& context, bool recompute);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Sequential model_{nullptr};
};

/// Global depthwise convolution 7x7, linear without bias, batch norm without weights.
class GlobalDepthwiseOutput : public torch::nn::Module {
 public:
  GlobalDepthwiseOutput(std::int64_t channels, std::int64_t embedding_dim,
                        std::shared_ptr<BatchNormContext> context);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<BatchNormContext> norm_context_;
  std::shared_ptr<ConvolutionBlock> conv_6_dw_;
  torch::nn::Linear linear_{nullptr};
  torch::nn::BatchNorm1d bn_{nullptr};
};

/// MobileFaceNet (Chen et al., CCBR 2018), 112x112, about 1.2 M weights.
class MobileFaceNet : public Backbone {
 public:
  explicit MobileFaceNet(const BackboneOptions& options);
  torch::Tensor forward(torch::Tensor faces) override;
  [[nodiscard]] std::int64_t embedding_dim() const override { return embedding_dim_; }

 private:
  std::int64_t embedding_dim_;
  std::shared_ptr<BatchNormContext> norm_context_;
  std::shared_ptr<ConvolutionBlock> conv1_, conv2_dw_, conv_6_sep_;
  std::shared_ptr<DepthwiseBlock> conv_23_, conv_34_, conv_45_;
  std::shared_ptr<ResidualStage> conv_3_, conv_4_, conv_5_;
  std::shared_ptr<GlobalDepthwiseOutput> output_layer_;
};

}  // namespace diffprob::model
