#include <optional>
#include <vector>

#include <ATen/ATen.h>

#include "model/inference/activation.h"
#include "model/inference/convolution.h"
#include "model/inference/mobilefacenet_layers.h"
#include "model/inference/trunk.h"

namespace diffprob::model {
namespace {

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

/// The layer for pictures of `side` pixels a side, which becomes that of its output.
Layer make_layer(const NamedWeights& weights, const NamedConvolution& named, std::int64_t& side,
                 const at::TensorOptions& options) {
  const at::Tensor weight = weights.at(named.convolution + ".weight");
  const ConvolutionPlace place{
      .side = side, .stride = named.stride, .padding = named.padding, .groups = named.groups};
  side = (side + 2 * named.padding - weight.size(2)) / named.stride + 1;
  Layer layer{{fold_after(weight, evaluated_batch_norm(weights, named.norm)), place, options},
              std::nullopt};
  if (!named.prelu.empty())
    layer.prelu.emplace(weights.at(named.prelu + ".weight"), weight.size(0), options);
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
  MobileFaceNetTrunk(const NamedWeights& weights, const MobileFaceNetLayers& named,
                     const at::TensorOptions& options) {
    std::int64_t side = kFaceSide;
    const auto make = [&](const NamedConvolution& layer) {
      return make_layer(weights, layer, side, options);
    };
    for (const NamedConvolution& layer : named.head) head_.push_back(make(layer));
    for (const NamedBottleneck& block : named.bottlenecks)
      bottlenecks_.push_back(
          {make(block.expand), make(block.depthwise), make(block.project), block.adds_input()});
    for (const NamedConvolution& layer : named.tail) tail_.push_back(make(layer));
    output_ =
        fold_after(weights.at(named.linear + ".weight"), evaluated_batch_norm(weights, named.norm));
  }

  at::Tensor run(const at::Tensor& faces) const override {
    at::Tensor x = faces;
    for (const Layer& layer : head_) x = layer.run(x);
    for (const Bottleneck& bottleneck : bottlenecks_) x = bottleneck.run(x);
    for (const Layer& layer : tail_) x = layer.run(x);
    return x;
  }

 private:
  std::vector<Layer> head_;
  std::vector<Bottleneck> bottlenecks_;
  std::vector<Layer> tail_;
};

}  // namespace

bool is_mobilefacenet(const NamedWeights& weights) {
  return mobilefacenet_layers(weights).has_value();
}

std::unique_ptr<InferenceTrunk> make_mobilefacenet_trunk(const NamedWeights& weights,
                                                         const at::TensorOptions& options) {
  return std::make_unique<MobileFaceNetTrunk>(weights, mobilefacenet_layers(weights).value(),
                                              options);
}

}  // namespace diffprob::model
