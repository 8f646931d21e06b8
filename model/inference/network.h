#pragma once

#include <cstdint>
#include <memory>

#include "model/inference/trunk.h"
#include "model/networks/backbone.h"

namespace diffprob::model {

/// A backbone in evaluation mode, rebuilt for speed: batch norms are folded into convolutions and
/// the last linear map (in float64, then rounded), pictures are channels last, PReLU and bias are
/// one pass. Embeddings are those of Backbone::forward within rounding. All images given go through
/// a layer together: FaceEmbedder cuts them into blocks that stay in the cache. Holds a copy of the
/// weights: make it anew after they change. On the device of the backbone. In float32, or with all
/// layers but the last linear map in 16 bit (folded in float64, then rounded): embeddings are then
/// less exact, and numbers beyond 65504 become infinite in float16.
class InferenceNetwork {
 public:
  /// Whether the backbone has the weights of a network that is known here (all of backbone_names()
  /// have).
  [[nodiscard]] static bool can_rebuild(const Backbone& backbone);
  /// type: of the layers, float32, float16 or bfloat16. Throws c10::Error for another network.
  explicit InferenceNetwork(const Backbone& backbone, at::ScalarType type = at::kFloat);

  /// images: uint8 [b, 112, 112, 3], RGB, on any device (see normalize_faces), or float faces [b,
  /// 3, 112, 112] on the network's device.
  /// -> embeddings [b, D] float32. b may be 0. Never builds a gradient graph. Throws c10::Error on
  /// another shape or type.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& images) const;

  /// operator() in two steps: all layers but the last, and the last linear map, whose large weights
  /// want many rows at a time. [b, feature_count()] float32; b > 0.
  [[nodiscard]] at::Tensor features(const at::Tensor& images) const;
  /// features [b, feature_count()] -> [b, D]
  [[nodiscard]] at::Tensor output(const at::Tensor& features) const;
  [[nodiscard]] std::int64_t feature_count() const { return weight_.size(0); }
  [[nodiscard]] std::int64_t embedding_dim() const { return bias_.numel(); }

 private:
  at::TensorOptions options_;  ///< of the layers
  std::unique_ptr<InferenceTrunk> trunk_;
  at::Tensor weight_;  ///< [h * w * channels, D]
  at::Tensor bias_;    ///< [D]
};

}  // namespace diffprob::model
