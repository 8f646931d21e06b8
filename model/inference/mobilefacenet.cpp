#include <optional>
#include <vector>

#include <ATen/ATen.h>

#include "model/inference/activation.h"
#include "model/inference/convolution.h"
#include "model/inference/trunk.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kFaceSide = 112;

/// Convolution, batch norm and perhaps PReLU.
struct Layer {
  InferenceConvolution convolution;
  std::optional<InferencePrelu> prelu;

  [[nodiscard]] at::Tensor run(const at::Tensor& x) const {
    at::Tensor y = convolution(x);
    if (prelu) prelu->apply(y);
    return y;
  }
};

/// The layer `prefix`; 3x3 kernels have padding 1, and one input channel a group means depthwise.
Layer make_layer(const NamedWeights& weights, const std::string& prefix, std::int64_t side,
                 std::int64_t stride, const at::TensorOptions& options) {
  const at::Tensor weight = weights.at(prefix + ".conv.weight");
  const std::int64_t channels = weight.size(0);
  const ConvolutionPlace place{.side = side,
                               .stride = stride,
                               .padding = weight.size(2) == 3 ? 1 : 0,
                               .groups = weight.size(1) == 1 ? channels : 1};
  Layer layer{{fold_after(weight, evaluated_batch_norm(weights, prefix + ".bn")), place, options},
              std::nullopt};
  if (weights.has(prefix + ".prelu.weight"))
    layer.prelu.emplace(weights.at(prefix + ".prelu.weight"), channels, options);
  return layer;
}

struct Bottleneck {
  Layer expand, depthwise, project;
  bool adds_input;

  /// May overwrite x.
  [[nodiscard]] at::Tensor run(at::Tensor x) const {
    const at::Tensor y = depthwise.run(expand.run(x));
    if (!adds_input) return project.run(y);
    project.convolution.add_to(x, y);
    return x;
  }
};

class MobileFaceNetTrunk : public InferenceTrunk {
 public:
  MobileFaceNetTrunk(const NamedWeights& weights, const at::TensorOptions& options)
      : weights_(&weights), options_(options) {
    add_layer("conv1", 2);
    add_layer("conv2_dw", 1);
    add_bottleneck("conv_23", 2);
    add_stage("conv_3");
    add_bottleneck("conv_34", 2);
    add_stage("conv_4");
    add_bottleneck("conv_45", 2);
    add_stage("conv_5");
    tail_.push_back(make_layer(weights, "conv_6_sep", side_, 1, options));
    tail_.push_back(make_layer(weights, "output_layer.conv_6_dw", side_, 1, options));
    output_ = fold_after(weights.at("output_layer.linear.weight"),
                         evaluated_batch_norm(weights, "output_layer.bn"));
    weights_ = nullptr;
  }

  at::Tensor run(const at::Tensor& faces) const override {
    at::Tensor x = faces;
    for (const Layer& layer : head_) x = layer.run(x);
    for (const Bottleneck& bottleneck : bottlenecks_) x = bottleneck.run(x);
    for (const Layer& layer : tail_) x = layer.run(x);
    return x;
  }

 private:
  void add_layer(const std::string& name, std::int64_t stride) {
    head_.push_back(make_layer(*weights_, name, side_, stride, options_));
    side_ = (side_ - 1) / stride + 1;
  }

  /// With stride 1 it adds its input.
  void add_bottleneck(const std::string& name, std::int64_t stride) {
    const std::int64_t after = (side_ - 1) / stride + 1;
    bottlenecks_.push_back({make_layer(*weights_, name + ".conv", side_, 1, options_),
                            make_layer(*weights_, name + ".conv_dw", side_, stride, options_),
                            make_layer(*weights_, name + ".project", after, 1, options_),
                            stride == 1});
    side_ = after;
  }

  void add_stage(const std::string& name) {
    for (int i = 0; weights_->has(name + ".model." + std::to_string(i) + ".conv.conv.weight");
         ++i) {
      add_bottleneck(name + ".model." + std::to_string(i), 1);
    }
  }

  const NamedWeights* weights_;  ///< while it is built
  at::TensorOptions options_;
  std::int64_t side_ = kFaceSide;
  std::vector<Layer> head_;
  std::vector<Bottleneck> bottlenecks_;
  std::vector<Layer> tail_;
};

}  // namespace

bool is_mobilefacenet(const NamedWeights& weights) {
  return weights.has("conv_6_sep.conv.weight") && weights.has("output_layer.linear.weight") &&
         weights.has("output_layer.bn.running_var");
}

std::unique_ptr<InferenceTrunk> make_mobilefacenet_trunk(const NamedWeights& weights,
                                                         const at::TensorOptions& options) {
  return std::make_unique<MobileFaceNetTrunk>(weights, options);
}

}  // namespace diffprob::model
