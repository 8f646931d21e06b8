#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "model/inference/folding.h"

namespace diffprob::model {

/// Pixels of a side of the faces that a trunk takes.
inline constexpr std::int64_t kFaceSide = 112;

/// The folded layers before the last linear map.
class InferenceTrunk {
 public:
  InferenceTrunk() = default;
  InferenceTrunk(const InferenceTrunk&) = delete;
  InferenceTrunk& operator=(const InferenceTrunk&) = delete;
  virtual ~InferenceTrunk() = default;
  /// Faces [b, 3, 112, 112] channels last, of the layers' type -> [b, channels, h, w] channels
  /// last.
  [[nodiscard]] virtual at::Tensor run(const at::Tensor& faces) const = 0;
  /// Linear map of run()'s output, flattened in memory order (h, w, channels), to embeddings.
  [[nodiscard]] const FoldedWeights& output() const { return output_; }

 protected:
  FoldedWeights output_;  ///< weight [D, h * w * channels]
};

/// For weights named as those of IResNet and MobileFaceNet.
[[nodiscard]] bool is_iresnet(const NamedWeights& weights);
/// Stride of an IResNet's first convolution. Not among the weights, but the pictures that reach the
/// last linear map tell: 7 x 7 of 112, or 4 x 4 of 56.
[[nodiscard]] std::int64_t iresnet_stem_stride(const NamedWeights& weights);
/// options: device and type of the layers.
[[nodiscard]] std::unique_ptr<InferenceTrunk> make_iresnet_trunk(const NamedWeights& weights,
                                                                 const at::TensorOptions& options);
[[nodiscard]] bool is_mobilefacenet(const NamedWeights& weights);
[[nodiscard]] std::unique_ptr<InferenceTrunk> make_mobilefacenet_trunk(
    const NamedWeights& weights, const at::TensorOptions& options);

class VisionTransformer;
[[nodiscard]] std::unique_ptr<InferenceTrunk> make_vision_transformer_trunk(
    const VisionTransformer& network, const NamedWeights& weights,
    const at::TensorOptions& options);

}  // namespace diffprob::model
