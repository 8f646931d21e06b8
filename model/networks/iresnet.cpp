#include "model/networks/iresnet.h"

#include <map>

#include "model/folded_norm/folded_norm.h"
#include "model/networks/activation_format.h"
#include "model/networks/fused_linear.h"
#include "model/networks/initial_weights.h"
#include "model/networks/keyed_dropout.h"
#include "model/networks/recompute.h"

namespace diffprob::model {
namespace nn = torch::nn;
namespace {

nn::Conv2d conv3x3(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 3).stride(stride).padding(1).bias(false));
}

nn::Conv2d conv1x1(std::int64_t in, std::int64_t out, std::int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, 1).stride(stride).bias(false));
}

nn::PReLU prelu(std::int64_t channels) {
  return nn::PReLU(nn::PReLUOptions().num_parameters(channels));
}

/// Widest network that runs channels-last on the CPU: with few channels most of a step would go
/// into oneDNN's reorders (tiny trains 1.4 times as fast without them), and the chain of sums that
/// activation_format.cpp speaks of is short.
constexpr std::int64_t kFewChannels = 128;

/// Side of the picture after the stem and four halvings (each a 3x3 convolution with padding 1).
std::int64_t last_side(std::int64_t stem_stride) {
  std::int64_t side = (112 - 1) / stem_stride + 1;
  for (int stage = 0; stage < 4; ++stage) side = (side - 1) / 2 + 1;
  return side;
}

}  // namespace

std::optional<IResNetShape> iresnet_shape(const std::string& name) {
  static const std::map<std::string, std::array<std::int64_t, 4>> blocks_of = {
      {"iresnet18", {2, 2, 2, 2}},
      {"iresnet34", {3, 4, 6, 3}},
      {"iresnet50", {3, 4, 14, 3}},
      {"iresnet100", {3, 13, 30, 3}},
      {"iresnet200", {6, 26, 60, 6}}};
  IResNetShape shape;
  if (name == "tiny") {
    shape.blocks = {1, 2, 2, 1};
    shape.stem_stride = 2;
    shape.channels = {16, 32, 64, 128};
    return shape;
  }
  const bool with_se = name.ends_with("_se");
  const auto found = blocks_of.find(with_se ? name.substr(0, name.size() - 3) : name);
  if (found == blocks_of.end()) return std::nullopt;
  shape.blocks = found->second;
  shape.squeeze_excitation = with_se;
  return shape;
}

SqueezeExcitation::SqueezeExcitation(std::int64_t channels) {
  constexpr std::int64_t kReduction = 16;
  fc1_ = register_module("fc1", conv1x1(channels, channels / kReduction, 1));
  fc2_ = register_module("fc2", conv1x1(channels / kReduction, channels, 1));
}

torch::Tensor SqueezeExcitation::forward(const torch::Tensor& x) {
  const torch::Tensor mean = torch::adaptive_avg_pool2d(x, {1, 1});
  return x * torch::sigmoid(fc2_->forward(torch::relu(fc1_->forward(mean))));
}

IResNetBlock::IResNetBlock(std::int64_t in, std::int64_t out, std::int64_t stride,
                           const IResNetBlocks& common)
    : common_(common) {
  bn1_ = register_module("bn1", nn::BatchNorm2d(in));
  conv1_ = register_module("conv1", conv3x3(in, out, 1));
  bn2_ = register_module("bn2", nn::BatchNorm2d(out));
  prelu_ = register_module("prelu", prelu(out));
  conv2_ = register_module("conv2", conv3x3(out, out, stride));
  bn3_ = register_module("bn3", nn::BatchNorm2d(out));
  if (stride != 1 || in != out) {
    downsample_conv_ = conv1x1(in, out, stride);
    downsample_bn_ = nn::BatchNorm2d(out);
    register_module("downsample", nn::Sequential(downsample_conv_, downsample_bn_));
  }
  if (common.squeeze_excitation)
    se_ = register_module("se_block", std::make_shared<SqueezeExcitation>(out));
}

torch::Tensor IResNetBlock::forward(const torch::Tensor& x) {
  if (!common_.recompute) return compute(x);
  return recomputed([this](const torch::Tensor& input) { return compute(input); }, x,
                    common_.norms);
}

std::pair<torch::Tensor, torch::Tensor> IResNetBlock::first_convolution(const torch::Tensor& x) {
  BatchNormContext& norms = *common_.norms;
  const ConvolutionContext& convolutions = common_.convolutions;
  if (common_.fold_norms && can_fold(*bn1_, *conv1_, x, norms)) {
    return folded_norm_convolution(*bn1_, *conv1_,
                                   weight_as(*conv1_, x.scalar_type(), convolutions), x, norms);
  }
  const auto [y, shortcut] = batch_norm_fork(*bn1_, x, norms);
  return {convolution(*conv1_, y, convolutions), shortcut};
}

torch::Tensor IResNetBlock::compute(const torch::Tensor& x) {
  BatchNormContext& norms = *common_.norms;
  const ConvolutionContext& convolutions = common_.convolutions;
  auto [y, shortcut] = first_convolution(x);
  y = batch_norm_prelu(*bn2_, *prelu_, y, norms);
  y = convolution(*conv2_, y, convolutions);
  if (!downsample_bn_.is_empty()) {
    shortcut = convolution(*downsample_conv_, shortcut, convolutions);
    shortcut = batch_norm(*downsample_bn_, shortcut, norms);
  }
  if (!se_) return batch_norm_add(*bn3_, y, shortcut, norms, OutputGoesTo::kBatchNorm);
  return se_->forward(batch_norm(*bn3_, y, norms)).add_(shortcut);
}

IResNet::IResNet(const IResNetShape& shape, const BackboneOptions& options)
    : embedding_dim_(options.embedding_dim),
      dropout_(options.dropout),
      channels_last_on_cpu_(shape.channels.back() <= kFewChannels),
      common_{
          std::make_shared<BatchNormContext>(BatchNormContext{.sync = options.sync_batch_norm,
                                                              .fused = options.fused_batch_norm,
                                                              .sum_outputs = options.sum_outputs,
                                                              .places = options.gradient_places}),
          convolutions_of(options), shape.squeeze_excitation, options.recompute,
          options.fold_norms} {
  std::int64_t channels = shape.channels[0];
  conv1_ = register_module("conv1", conv3x3(3, channels, shape.stem_stride));
  bn1_ = register_module("bn1", nn::BatchNorm2d(channels));
  prelu_ = register_module("prelu", prelu(channels));
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    stages_[i] = register_module("layer" + std::to_string(i + 1),
                                 make_stage(channels, shape.channels[i], shape.blocks[i]));
    channels = shape.channels[i];
  }
  bn2_ = register_module("bn2", nn::BatchNorm2d(channels));
  const std::int64_t side = last_side(shape.stem_stride);
  fc_ = register_module("fc", nn::Linear(channels * side * side, embedding_dim_));
  features_ = register_module("features", nn::BatchNorm1d(embedding_dim_));
  features_->weight.set_requires_grad(false);
  initialise_weights(*this, ConvolutionInit::kNormal, options.seed);
}

nn::Sequential IResNet::make_stage(std::int64_t in, std::int64_t out, std::int64_t blocks) const {
  nn::Sequential stage;
  stage->push_back(std::make_shared<IResNetBlock>(in, out, 2, common_));
  for (std::int64_t i = 1; i < blocks; ++i)
    stage->push_back(std::make_shared<IResNetBlock>(out, out, 1, common_));
  return stage;
}

torch::Tensor IResNet::forward(torch::Tensor faces) {
  BatchNormContext& norms = *common_.norms;
  torch::Tensor x = prepare_faces(faces, channels_last_on_cpu_);
  x = stem_convolution(*conv1_, x, common_.convolutions);
  x = batch_norm_prelu(*bn1_, *prelu_, x, norms, OutputGoesTo::kBatchNorm);
  for (auto& stage : stages_) x = stage->forward(x);
  x = batch_norm(*bn2_, x, norms).flatten(1);
  if (is_training() && dropout_ > 0.0) x = keyed_dropout(x, dropout_, context_);
  return batch_norm(*features_, linear(*fc_, x), norms);
}

}  // namespace diffprob::model
