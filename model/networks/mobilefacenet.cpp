#include "model/networks/mobilefacenet.h"

#include <torch/nn/modules/linear.h>

#include "model/networks/activation_format.h"
#include "model/networks/fused_linear.h"
#include "model/networks/initial_weights.h"
#include "model/networks/recompute.h"

namespace diffprob::model {
namespace nn = torch::nn;

std::optional<MobileFaceNetShape> mobilefacenet_shape(const std::string& name) {
  if (name == "mobilefacenet") return MobileFaceNetShape{};
  if (name == "mbf") return MobileFaceNetShape{PartNames::kNumbers, 128, {1, 4, 6, 2}};
  if (name == "mbf_large") return MobileFaceNetShape{PartNames::kNumbers, 256, {2, 8, 12, 4}};
  return std::nullopt;
}

BlockParts::BlockParts(nn::Module& block, PartNames names) : block_(&block) {
  if (names == PartNames::kNumbers) numbered_ = block.register_module("layers", nn::ModuleList());
}

void BlockParts::skip() {
  if (!numbered_.is_empty()) numbered_->push_back(nn::Flatten());
}

ConvolutionBlock::ConvolutionBlock(const ConvolutionShape& shape, const MobileFaceNetBlocks& common)
    : norm_context_(common.norms), convolutions_(common.convolutions) {
  BlockParts parts(*this, common.names);
  conv_ = parts.add("conv", nn::Conv2d(nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                                           .stride(shape.stride)
                                           .padding(shape.padding)
                                           .groups(shape.groups)
                                           .bias(false)));
  bn_ = parts.add("bn", nn::BatchNorm2d(shape.out));
  if (shape.prelu)
    prelu_ = parts.add("prelu", nn::PReLU(nn::PReLUOptions().num_parameters(shape.out)));
}

torch::Tensor ConvolutionBlock::forward(const torch::Tensor& x) {
  return normalized(convolution(*conv_, x, convolutions_));
}

torch::Tensor ConvolutionBlock::forward_faces(const torch::Tensor& faces) {
  return normalized(stem_convolution(*conv_, faces, convolutions_));
}

torch::Tensor ConvolutionBlock::normalized(const torch::Tensor& y) {
  return prelu_.is_empty() ? batch_norm(*bn_, y, *norm_context_)
                           : batch_norm_prelu(*bn_, *prelu_, y, *norm_context_);
}

torch::Tensor ConvolutionBlock::forward_add(const torch::Tensor& x, const torch::Tensor& residual) {
  return batch_norm_add(*bn_, convolution(*conv_, x, convolutions_), residual, *norm_context_);
}

DepthwiseBlock::DepthwiseBlock(std::int64_t in, std::int64_t out, std::int64_t width,
                               std::int64_t stride, Shortcut shortcut,
                               const MobileFaceNetBlocks& common)
    : norm_context_(common.norms), recompute_(common.recompute), shortcut_(shortcut) {
  BlockParts parts(*this, common.names);
  const auto part = [&](const char* name, const ConvolutionShape& shape) {
    return parts.add(name, std::make_shared<ConvolutionBlock>(shape, common));
  };
  conv_ = part("conv", {.in = in, .out = width});
  conv_dw_ = part(
      "conv_dw",
      {.in = width, .out = width, .kernel = 3, .stride = stride, .padding = 1, .groups = width});
  project_ = part("project", {.in = width, .out = out, .prelu = false});
}

torch::Tensor DepthwiseBlock::forward(const torch::Tensor& x) {
  if (!recompute_) return compute(x);
  return recomputed([this](const torch::Tensor& input) { return compute(input); }, x,
                    norm_context_);
}

torch::Tensor DepthwiseBlock::compute(const torch::Tensor& x) {
  const torch::Tensor y = conv_dw_->forward(conv_->forward(x));
  return shortcut_ == Shortcut::kAddInput ? project_->forward_add(y, x) : project_->forward(y);
}

ResidualStage::ResidualStage(std::int64_t channels, std::int64_t width, std::int64_t blocks,
                             const MobileFaceNetBlocks& common) {
  nn::Sequential sequence;
  for (std::int64_t i = 0; i < blocks; ++i) {
    sequence->push_back(std::make_shared<DepthwiseBlock>(
        channels, channels, width, 1, DepthwiseBlock::Shortcut::kAddInput, common));
  }
  blocks_ = register_module(common.names == PartNames::kWords ? "model" : "layers", sequence);
}

torch::Tensor ResidualStage::forward(const torch::Tensor& x) {
  return blocks_->forward(x);
}

GlobalDepthwiseOutput::GlobalDepthwiseOutput(std::int64_t channels, std::int64_t embedding_dim,
                                             const MobileFaceNetBlocks& common)
    : norm_context_(common.norms) {
  BlockParts parts(*this, common.names);
  const ConvolutionShape shape = {
      .in = channels, .out = channels, .kernel = 7, .groups = channels, .prelu = false};
  whole_picture_ = parts.add("conv_6_dw", std::make_shared<ConvolutionBlock>(shape, common));
  parts.skip();  // the flattening
  linear_ = parts.add("linear", nn::Linear(nn::LinearOptions(channels, embedding_dim).bias(false)));
  bn_ = parts.add(
      "bn", nn::BatchNorm1d(
                nn::BatchNorm1dOptions(embedding_dim).affine(common.names == PartNames::kNumbers)));
}

torch::Tensor GlobalDepthwiseOutput::forward(const torch::Tensor& x) {
  return batch_norm(*bn_, linear(*linear_, whole_picture_->forward(x).flatten(1)), *norm_context_);
}

MobileFaceNet::MobileFaceNet(const MobileFaceNetShape& shape, const BackboneOptions& options)
    : embedding_dim_(options.embedding_dim),
      norm_context_(
          std::make_shared<BatchNormContext>(BatchNormContext{.sync = options.sync_batch_norm,
                                                              .fused = options.fused_batch_norm,
                                                              .places = options.gradient_places})) {
  const MobileFaceNetBlocks common{norm_context_, convolutions_of(options), shape.names,
                                   options.recompute};
  constexpr std::int64_t kOutputChannels = 512;
  const std::int64_t narrow = shape.channels, wide = 2 * shape.channels;
  BlockParts parts(*this, shape.names);
  stem_ = parts.add(
      "conv1", std::make_shared<ConvolutionBlock>(
                   ConvolutionShape{.in = 3, .out = narrow, .kernel = 3, .stride = 2, .padding = 1},
                   common));
  if (shape.blocks[0] == 1) {
    first_convolution_ = parts.add(
        "conv2_dw",
        std::make_shared<ConvolutionBlock>(
            ConvolutionShape{.in = narrow, .out = narrow, .kernel = 3, .padding = 1, .groups = 64},
            common));
  } else {
    first_stage_ =
        parts.add("conv_2", std::make_shared<ResidualStage>(narrow, 128, shape.blocks[0], common));
  }
  const auto stage = [&](std::size_t i, const char* halving, const char* name, std::int64_t in,
                         std::int64_t out, std::int64_t halving_width, std::int64_t width) {
    halvings_[i] =
        parts.add(halving, std::make_shared<DepthwiseBlock>(
                               in, out, halving_width, 2, DepthwiseBlock::Shortcut::kNone, common));
    stages_[i] =
        parts.add(name, std::make_shared<ResidualStage>(out, width, shape.blocks[i + 1], common));
  };
  stage(0, "conv_23", "conv_3", narrow, narrow, 128, 128);
  stage(1, "conv_34", "conv_4", narrow, wide, 256, 256);
  stage(2, "conv_45", "conv_5", wide, wide, 512, 256);
  const bool words = shape.names == PartNames::kWords;
  widening_ = register_module(words ? "conv_6_sep" : "conv_sep",
                              std::make_shared<ConvolutionBlock>(
                                  ConvolutionShape{.in = wide, .out = kOutputChannels}, common));
  output_ = register_module(
      words ? "output_layer" : "features",
      std::make_shared<GlobalDepthwiseOutput>(kOutputChannels, embedding_dim_, common));
  initialise_weights(*this, ConvolutionInit::kKaimingFanOut, options.seed);
}

torch::Tensor MobileFaceNet::forward(torch::Tensor faces) {
  torch::Tensor x = stem_->forward_faces(prepare_faces(faces, norm_context_->fused));
  x = first_stage_ ? first_stage_->forward(x) : first_convolution_->forward(x);
  for (std::size_t i = 0; i < stages_.size(); ++i)
    x = stages_[i]->forward(halvings_[i]->forward(x));
  return output_->forward(widening_->forward(x));
}

}  // namespace diffprob::model
