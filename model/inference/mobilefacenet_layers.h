#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/inference/folding.h"

namespace diffprob::model {

/// A convolution, its batch norm and perhaps a PReLU, by their names in the state dict.
struct NamedConvolution {
  std::string convolution, norm;
  std::string prelu;  ///< "": none
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
};

/// An inverted bottleneck. One with stride 1 adds its input.
struct NamedBottleneck {
  std::string name;
  NamedConvolution expand, depthwise, project;
  [[nodiscard]] bool adds_input() const { return depthwise.stride == 1; }
};

/// The layers of a MobileFaceNet, whichever names it has, in the order in which they run.
struct MobileFaceNetLayers {
  std::vector<NamedConvolution> head;
  std::vector<NamedBottleneck> bottlenecks;
  std::vector<NamedConvolution> tail;
  std::string linear, norm;  ///< what gives the embedding
};

/// Nothing for the weights of another network.
[[nodiscard]] std::optional<MobileFaceNetLayers> mobilefacenet_layers(const NamedWeights& weights);

}  // namespace diffprob::model
