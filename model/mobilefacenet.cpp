#include "model/mobilefacenet.h"

#include "model/activation_format.h"
#include "model/initial_weights.h"

namespace diffprob::model {
namespace nn = torch::nn;

ConvolutionBlock::ConvolutionBlock(const ConvolutionShape& shape) {
  conv_ = register_module("conv", nn::Conv2d(nn::Conv2dOptions(shape.in, shape.out, shape.kernel)
                                                 .stride(shape.stride)
                                                 .padding(shape.padding)
                                                 .groups(shape.groups)
                                                 .bias(false)));
  bn_ = register_module("bn", nn::BatchNorm2d(shape.out));
  if (shape.prelu) prelu_ = register_module("prelu", nn::PReLU(nn::PReLUOptions().num_parameters(shape.out)));
}

torch::Tensor ConvolutionBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = bn_->forward(conv_->forward(x));
  return prelu_.is_empty() ? y : prelu_->forward(y);
}

DepthwiseBlock::DepthwiseBlock(std::int64_t in, std::int64_t out, std::int64_t width, std::int64_t stride, Shortcut shortcut)
    : shortcut_(shortcut) {
  conv_ = register_module("conv", std::make_shared<ConvolutionBlock>(ConvolutionShape{.in = in, .out = width}));
  conv_dw_ = register_module("conv_dw", std::make_shared<ConvolutionBlock>(ConvolutionShape{
                                            .in = width, .out = width, .kernel = 3, .stride = stride, .padding = 1, .groups = width}));
  project_ = register_module("project", std::make_shared<ConvolutionBlock>(ConvolutionShape{.in = width, .out = out, .prelu = false}));
}

torch::Tensor DepthwiseBlock::forward(const torch::Tensor& x) {
  const torch::Tensor y = project_->forward(conv_dw_->forward(conv_->forward(x)));
  return shortcut_ == Shortcut::kAddInput ? y + x : y;
}

ResidualStage::ResidualStage(std::int64_t channels, std::int64_t width, std::int64_t blocks) {
  nn::Sequential model;
  for (std::int64_t i = 0; i < blocks; ++i) {
    model->push_back(DepthwiseBlock(channels, channels, width, 1, DepthwiseBlock::Shortcut::kAddInput));
  }
  model_ = register_module("model", model);
}

torch::Tensor ResidualStage::forward(const torch::Tensor& x) {
  return model_->forward(x);
}

GlobalDepthwiseOutput::GlobalDepthwiseOutput(std::int64_t channels, std::int64_t embedding_dim) {
  conv_6_dw_ = register_module("conv_6_dw", std::make_shared<ConvolutionBlock>(ConvolutionShape{
                                                .in = channels, .out = channels, .kernel = 7, .groups = channels, .prelu = false}));
  linear_ = register_module("linear", nn::Linear(nn::LinearOptions(channels, embedding_dim).bias(false)));
  bn_ = register_module("bn", nn::BatchNorm1d(nn::BatchNorm1dOptions(embedding_dim).affine(false)));
}

torch::Tensor GlobalDepthwiseOutput::forward(const torch::Tensor& x) {
  return bn_->forward(linear_->forward(conv_6_dw_->forward(x).flatten(1)));
}

MobileFaceNet::MobileFaceNet(const BackboneOptions& options) : embedding_dim_(options.embedding_dim) {
  constexpr auto kNone = DepthwiseBlock::Shortcut::kNone;
  conv1_ = register_module(
      "conv1", std::make_shared<ConvolutionBlock>(ConvolutionShape{.in = 3, .out = 64, .kernel = 3, .stride = 2, .padding = 1}));
  conv2_dw_ = register_module(
      "conv2_dw", std::make_shared<ConvolutionBlock>(ConvolutionShape{.in = 64, .out = 64, .kernel = 3, .padding = 1, .groups = 64}));
  conv_23_ = register_module("conv_23", std::make_shared<DepthwiseBlock>(64, 64, 128, 2, kNone));
  conv_3_ = register_module("conv_3", std::make_shared<ResidualStage>(64, 128, 4));
  conv_34_ = register_module("conv_34", std::make_shared<DepthwiseBlock>(64, 128, 256, 2, kNone));
  conv_4_ = register_module("conv_4", std::make_shared<ResidualStage>(128, 256, 6));
  conv_45_ = register_module("conv_45", std::make_shared<DepthwiseBlock>(128, 128, 512, 2, kNone));
  conv_5_ = register_module("conv_5", std::make_shared<ResidualStage>(128, 256, 2));
  conv_6_sep_ = register_module("conv_6_sep", std::make_shared<ConvolutionBlock>(ConvolutionShape{.in = 128, .out = 512}));
  output_layer_ = register_module("output_layer", std::make_shared<GlobalDepthwiseOutput>(512, embedding_dim_));
  initialise_weights(*this, ConvolutionInit::kKaimingFanOut, options.seed);
}

torch::Tensor MobileFaceNet::forward(torch::Tensor faces) {
  torch::Tensor x = conv2_dw_->forward(conv1_->forward(prepare_faces(faces)));
  x = conv_3_->forward(conv_23_->forward(x));
  x = conv_4_->forward(conv_34_->forward(x));
  x = conv_5_->forward(conv_45_->forward(x));
  return output_layer_->forward(conv_6_sep_->forward(x));
}

}  // namespace diffprob::model
