#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/backbone.h"
#include "model/inference_network.h"

namespace diffprob::eval {

/// A backbone in eval mode while this lives (each module gets its own mode back afterwards), and where it can be rebuilt for speed, the
/// inference network made of it. Images and their mirror images -> embeddings. Builds no gradient graph.
class FaceNetwork {
 public:
  enum class Fold { kWhereKnown, kNever };
  /// The backbone outlives this; its weights must not change meanwhile.
  /// type: of the inference network's layers; a backbone that is not rebuilt computes as it is.
  FaceNetwork(model::Backbone& backbone, at::Device device, Fold fold, at::ScalarType type = at::kFloat);
  ~FaceNetwork();
  FaceNetwork(const FaceNetwork&) = delete;
  FaceNetwork& operator=(const FaceNetwork&) = delete;

  /// images: uint8 [b, h, w, 3] RGB on the CPU -> embeddings of the images and of their mirror images, [b, D] float32 each, on the device,
  /// not normalised. On a GPU nothing here waits for the device.
  [[nodiscard]] std::pair<at::Tensor, at::Tensor> embed(const at::Tensor& images) const;
  [[nodiscard]] std::int64_t dim() const { return backbone_.embedding_dim(); }
  [[nodiscard]] at::Device device() const { return device_; }

 private:
  model::Backbone& backbone_;
  at::Device device_;
  bool root_training_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> training_;
  std::optional<model::InferenceNetwork> folded_;
};

}  // namespace diffprob::eval
