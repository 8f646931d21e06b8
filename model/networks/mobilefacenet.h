#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "model/batch_norm/batch_norm.h"
#include "model/networks/backbone.h"
#include "model/networks/convolution.h"

namespace diffprob::model {

/// How the parts of a block are called in the state dict.
enum class PartNames {
  kWords,    ///< "conv", "bn", ...: the paper's code, from cavaface
  kNumbers,  ///< "layers.0", "layers.1", ...: arcface_torch
};

struct MobileFaceNetShape {
  PartNames names = PartNames::kWords;
  std::int64_t channels = 64;  ///< of the first stage; twice as many later
  /// Residual blocks of the four stages. One in the first stage is a single convolution in 64
  /// groups instead.
  std::array<std::int64_t, 4> blocks = {1, 4, 6, 2};
};

/// "mobilefacenet", "mbf", "mbf_large"; nothing for another name.
[[nodiscard]] std::optional<MobileFaceNetShape> mobilefacenet_shape(const std::string& name);

/// What the blocks of one network have in common.
struct MobileFaceNetBlocks {
  std::shared_ptr<BatchNormContext> norms;
  ConvolutionContext convolutions{};
  PartNames names = PartNames::kWords;
  bool recompute = false;
};

/// Registers the parts of a block in the order in which they run.
class BlockParts {
 public:
  BlockParts(torch::nn::Module& block, PartNames names);
  /// Registers `part` by the name (kWords), or by its number.
  template <class Part>
  Part add(const char* name, Part part) {
    if (numbered_.is_empty()) return block_->register_module(name, part);
    numbered_->push_back(part);
    return part;
  }
  /// A part without weights, which only takes a number.
  void skip();

 private:
  torch::nn::Module* block_;
  torch::nn::ModuleList numbered_{nullptr};
};

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
  ConvolutionBlock(const ConvolutionShape& shape, const MobileFaceNetBlocks& common);
  torch::Tensor forward(const torch::Tensor& x);
  /// As the first layer of a network (stem_convolution).
  torch::Tensor forward_faces(const torch::Tensor& faces);
  /// forward(x) + residual, for blocks without PReLU.
  torch::Tensor forward_add(const torch::Tensor& x, const torch::Tensor& residual);

 private:
  torch::Tensor normalized(const torch::Tensor& y);

  std::shared_ptr<BatchNormContext> norm_context_;
  ConvolutionContext convolutions_;
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
                 Shortcut shortcut, const MobileFaceNetBlocks& common);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::Tensor compute(const torch::Tensor& x);

  std::shared_ptr<BatchNormContext> norm_context_;
  bool recompute_;
  std::shared_ptr<ConvolutionBlock> conv_, conv_dw_, project_;
  Shortcut shortcut_;
};

/// `blocks` depthwise blocks with shortcut, children "model.0", "model.1", ... or "layers.0", ...
class ResidualStage : public torch::nn::Module {
 public:
  ResidualStage(std::int64_t channels, std::int64_t width, std::int64_t blocks,
                const MobileFaceNetBlocks& common);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Sequential blocks_{nullptr};
};

/// Global depthwise convolution 7x7, linear without bias, batch norm (learned in arcface_torch's).
class GlobalDepthwiseOutput : public torch::nn::Module {
 public:
  GlobalDepthwiseOutput(std::int64_t channels, std::int64_t embedding_dim,
                        const MobileFaceNetBlocks& common);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::shared_ptr<BatchNormContext> norm_context_;
  std::shared_ptr<ConvolutionBlock> whole_picture_;
  torch::nn::Linear linear_{nullptr};
  torch::nn::BatchNorm1d bn_{nullptr};
};

/// MobileFaceNet (Chen et al., CCBR 2018), 112x112, about 1.2 M weights; and the wider ones of
/// arcface_torch, mbf and mbf_large.
class MobileFaceNet : public Backbone {
 public:
  MobileFaceNet(const MobileFaceNetShape& shape, const BackboneOptions& options);
  torch::Tensor forward(torch::Tensor faces) override;
  [[nodiscard]] std::int64_t embedding_dim() const override { return embedding_dim_; }

 private:
  std::int64_t embedding_dim_;
  std::shared_ptr<BatchNormContext> norm_context_;
  std::shared_ptr<ConvolutionBlock> stem_, first_convolution_, widening_;
  std::shared_ptr<ResidualStage> first_stage_;  ///< null where first_convolution_ is the stage
  std::array<std::shared_ptr<DepthwiseBlock>, 3> halvings_;
  std::array<std::shared_ptr<ResidualStage>, 3> stages_;
  std::shared_ptr<GlobalDepthwiseOutput> output_;
};

}  // namespace diffprob::model
