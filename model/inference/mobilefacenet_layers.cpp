#include "model/inference/mobilefacenet_layers.h"

#include <ATen/ATen.h>

namespace diffprob::model {
namespace {

/// Finds layers from the first to the last, as MobileFaceNet runs them (networks/mobilefacenet.h).
class LayerFinder {
 public:
  /// numbered: the names of arcface_torch, else those of the paper's code.
  LayerFinder(const NamedWeights& weights, bool numbered)
      : weights_(weights), numbered_(numbered) {}

  MobileFaceNetLayers find() {
    found_.head.push_back(convolution(top("conv1"), 2));
    const std::string first = top("conv2_dw");
    if (weights_.has(part(first, "conv", 0) + ".weight")) {
      found_.head.push_back(convolution(first, 1));
    } else {
      add_stage(first);
    }
    for (const auto& [halving, stage] :
         {std::pair("conv_23", "conv_3"), std::pair("conv_34", "conv_4"),
          std::pair("conv_45", "conv_5")}) {
      add_bottleneck(top(halving), 2);
      add_stage(top(stage));
    }
    const std::string output = numbered_ ? "features" : "output_layer";
    found_.tail.push_back(convolution(numbered_ ? "conv_sep" : "conv_6_sep", 1));
    found_.tail.push_back(convolution(part(output, "conv_6_dw", 0), 1));
    found_.linear = part(output, "linear", 2);
    found_.norm = part(output, "bn", 3);
    return std::move(found_);
  }

 private:
  [[nodiscard]] std::string part(const std::string& block, const char* name, int number) const {
    return block + (numbered_ ? ".layers." + std::to_string(number) : std::string(".") + name);
  }
  /// The next block of the network itself.
  std::string top(const char* name) {
    return numbered_ ? "layers." + std::to_string(next_++) : std::string(name);
  }

  NamedConvolution convolution(const std::string& block, std::int64_t stride) {
    NamedConvolution layer{part(block, "conv", 0), part(block, "bn", 1), part(block, "prelu", 2),
                           stride};
    if (!weights_.has(layer.prelu + ".weight")) layer.prelu.clear();
    const std::vector<std::int64_t> sizes = weights_.sizes(layer.convolution + ".weight");
    layer.padding = sizes.at(2) == 3 ? 1 : 0;
    layer.groups = channels_ / sizes.at(1);
    channels_ = sizes.at(0);
    return layer;
  }

  void add_bottleneck(const std::string& name, std::int64_t stride) {
    NamedBottleneck found{name, convolution(part(name, "conv", 0), 1),
                          convolution(part(name, "conv_dw", 1), stride),
                          convolution(part(name, "project", 2), 1)};
    found_.bottlenecks.push_back(std::move(found));
  }

  void add_stage(const std::string& stage) {
    const std::string blocks = stage + (numbered_ ? ".layers." : ".model.");
    for (int i = 0;; ++i) {
      const std::string name = blocks + std::to_string(i);
      if (!weights_.has(part(part(name, "conv", 0), "conv", 0) + ".weight")) return;
      add_bottleneck(name, 1);
    }
  }

  const NamedWeights& weights_;
  bool numbered_;
  int next_ = 0;
  std::int64_t channels_ = 3;  ///< that the next layer takes
  MobileFaceNetLayers found_;
};

}  // namespace

std::optional<MobileFaceNetLayers> mobilefacenet_layers(const NamedWeights& weights) {
  if (weights.has("conv_6_sep.conv.weight") && weights.has("output_layer.linear.weight") &&
      weights.has("output_layer.bn.running_var"))
    return LayerFinder(weights, /*numbered=*/false).find();
  if (weights.has("conv_sep.layers.0.weight") && weights.has("features.layers.2.weight") &&
      weights.has("features.layers.3.running_var"))
    return LayerFinder(weights, /*numbered=*/true).find();
  return std::nullopt;
}

}  // namespace diffprob::model
