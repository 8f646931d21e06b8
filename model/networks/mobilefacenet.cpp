#include "model/networks/mobilefacenet.h"

#include "model/networks/activation_format.h"
#include "model/networks/fused_linear.h"
#include "model/networks/initial_weights.h"
#include "model/networks/recompute.h"

namespace diffprob::model {
namespace nn = torch::nn;

ConvolutionBlock::ConvolutionBlock(const ConvolutionShape& shape,
                                   std::shared_ptr<BatchNormContext> context)
    : norm_context_(std::move(context)) {
  conv_ = register_module("conv", nn::Conv2d(nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                                                 .stride(shape.stride)
                                                 .padding(shape.padding)
                                                 .groups(shape.groups)
                                                 .bias(false)));
  bn_ = register_module("bn", nn::BatchNorm2d(shape.out));
  if (shape.prelu)
    prelu_ = register_module("prelu", nn::PReLU(nn::PReLUOptions().num_parameters(shape.out)));
}

torch::Tensor ConvolutionBlock::forward(const torch::Tensor& x) {
  return normalized(conv_->forward(x));
}

torch::Tensor ConvolutionBlock::forward_faces(const torch::Tensor& faces) {
  return normalized(stem_convolution(*conv_, faces));
}

torch::Tensor ConvolutionBlock::normalized(const torch::Tensor& y) {
  return prelu_.is_empty() ? batch_norm(*bn_, y, *norm_context_)
                           : batch_norm_prelu(*bn_, *prelu_, y, *norm_context_);
}

torch::Tensor ConvolutionBlock::forward_add(const torch::Tensor& x, const torch::Tensor& residual) {
  return batch_norm_add(*bn_, conv_->forward(x), residual, *norm_context_);
}

DepthwiseBlock::DepthwiseBlock(std::int64_t in, std::int64_t out, std::int64_t width,
                               std::int64_t stride, Shortcut shortcut,
                               std::shared_ptr<BatchNormContext> context, bool recompute)
    : norm_context_(std::move(context)), recompute_(recompute), shortcut_(shortcut) {
  const auto part = [&](const char* name, const ConvolutionShape& shape) {
    return register_module(name, std::make_shared<ConvolutionBlock>(shape, norm_context_));
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
                             const std::shared_ptr<BatchNormContext>& context, bool recompute) {
  nn::Sequential model;
  for (std::int64_t i = 0; i < blocks; ++i) {
    model->push_back(std::make_shared<DepthwiseBlock>(
        channels, channels, width, 1, DepthwiseBlock::Shortcut::kAddInput, context, recompute));
  }
  model_ = register_module("model", model);
}

torch::Tensor ResidualStage::forward(const torch::Tensor& x) {
  return model_->forward(x);
}

GlobalDepthwiseOutput::GlobalDepthwiseOutput(std::int64_t channels, std::int64_t embedding_dim,
                                             std::shared_ptr<BatchNormContext> context)
    : norm_context_(std::move(context)) {
  const ConvolutionShape whole_picture = {
      .in = channels, .out = channels, .kernel = 7, .groups = channels, .prelu = false};
  conv_6_dw_ = register_module("conv_6_dw",
                               std::make_shared<ConvolutionBlock>(whole_picture, norm_context_));
  linear_ =
      register_module("linear", nn::Linear(nn::LinearOptions(channels, embedding_dim).bias(false)));
  bn_ = register_module("bn", nn::BatchNorm1d(nn::BatchNorm1dOptions(embedding_dim).affine(false)));
}

torch::Tensor GlobalDepthwiseOutput::forward(const torch::Tensor& x) {
  return batch_norm(*bn_, linear(*linear_, conv_6_dw_->forward(x).flatten(1)), *norm_context_);
}

MobileFaceNet::MobileFaceNet(const BackboneOptions& options)
    : embedding_dim_(options.embedding_dim),
      norm_context_(std::make_shared<BatchNormContext>(
          BatchNormContext{.sync = options.sync_batch_norm, .fused = options.fused_batch_norm})) {
  const auto convolution = [&](const char* name, const ConvolutionShape& shape) {
    return register_module(name, std::make_shared<ConvolutionBlock>(shape, norm_context_));
  };
  const auto halving = [&](const char* name, std::int64_t in, std::int64_t out,
                           std::int64_t width) {
    constexpr auto kNone = DepthwiseBlock::Shortcut::kNone;
    return register_module(name, std::make_shared<DepthwiseBlock>(
                                     in, out, width, 2, kNone, norm_context_, options.recompute));
  };
  const auto stage = [&](const char* name, std::int64_t channels, std::int64_t width,
                         std::int64_t blocks) {
    return register_module(name, std::make_shared<ResidualStage>(channels, width, blocks,
                                                                 norm_context_, options.recompute));
  };
  conv1_ = convolution("conv1", {.in = 3, .out = 64, .kernel = 3, .stride = 2, .padding = 1});
  conv2_dw_ =
      convolution("conv2_dw", {.in = 64, .out = 64, .kernel = 3, .padding = 1, .groups = 64});
  conv_23_ = halving("conv_23", 64, 64, 128);
  conv_3_ = stage("conv_3", 64, 128, 4);
  conv_34_ = halving("conv_34", 64, 128, 256);
  conv_4_ = stage("conv_4", 128, 256, 6);
  conv_45_ = halving("conv_45", 128, 128, 512);
  conv_5_ = stage("conv_5", 128, 256, 2);
  conv_6_sep_ = convolution("conv_6_sep", {.in = 128, .out = 512});
  output_layer_ = register_module(
      "output_layer", std::make_shared<GlobalDepthwiseOutput>(512, embedding_dim_, norm_context_));
  initialise_weights(*this, ConvolutionInit::kKaimingFanOut, options.seed);
}

torch::Tensor MobileFaceNet::forward(torch::Tensor faces) {
  torch::Tensor x =
      conv2_dw_->forward(conv1_->forward_faces(prepare_faces(faces, norm_context_->fused)));
  x = conv_3_->forward(conv_23_->forward(x));
  x = conv_4_->forward(conv_34_->forward(x));
  x = conv_5_->forward(conv_45_->forward(x));
  return output_layer_->forward(conv_6_sep_->forward(x));
}

}  // namespace diffprob::model
