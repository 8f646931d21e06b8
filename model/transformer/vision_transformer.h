#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "model/batch_norm/batch_norm.h"
#include "model/networks/backbone.h"
#include "model/transformer/block.h"

namespace diffprob::model {

inline constexpr double kFeatureNormEpsilon = 2e-5;  ///< of the batch norms after the linear maps

struct VisionTransformerShape {
  BlockShape block;
  std::int64_t depth = 12;  ///< number of blocks
  std::int64_t patch = 9;   ///< side of a patch in pixels; what is left at the edge is not read
  double drop_path = 0.1;   ///< share of the branches dropped in the last block, in training
  double mask_ratio = 0.1;  ///< share of the patches that training leaves out
  /// The state dict has "mask_token" even where no patch is left out.
  bool always_has_mask_token = true;

  [[nodiscard]] std::int64_t side() const { return 112 / patch; }  ///< in patches
  [[nodiscard]] std::int64_t patches() const { return side() * side(); }
  /// Number of patches of an image that training leaves out: what stays is rounded down.
  [[nodiscard]] std::int64_t masked_patches() const;
};

/// "vit_t" ... "vit_h" as InsightFace's arcface_torch has them, "cvlface_vit_s" and "cvlface_vit_b"
/// of CVLface, and "vit_nano" for tests, with the published drop path and mask ratio; nothing for
/// another name.
[[nodiscard]] std::optional<VisionTransformerShape> vision_transformer_shape(
    const std::string& name);

/// The vision transformer (Dosovitskiy et al., ICLR 2021) of arcface_torch: no class token; the
/// normalised tokens of all patches together go through Linear, BN, Linear, BN. In training it
/// leaves out patches (a learned token takes their places in the features) and branches of blocks,
/// both drawn by StepContext.
class VisionTransformer : public Backbone {
 public:
  VisionTransformer(const VisionTransformerShape& shape, const BackboneOptions& options);
  torch::Tensor forward(torch::Tensor faces) override;
  [[nodiscard]] std::int64_t embedding_dim() const override { return embedding_dim_; }
  /// With the drop path and mask ratio in use.
  [[nodiscard]] const VisionTransformerShape& shape() const { return shape_; }

 private:
  void initialise(std::uint64_t seed);
  /// [b, 3, 112, 112] -> [b * patches, C]
  torch::Tensor embed_patches(const torch::Tensor& faces);
  /// [b * kept, C] -> [b * patches, C]: `kept` rows [b * kept] of the result are x, the others the
  /// mask token.
  torch::Tensor with_mask_tokens(const torch::Tensor& x, const torch::Tensor& kept,
                                 std::int64_t images);
  torch::Tensor features(const torch::Tensor& x);

  VisionTransformerShape shape_;
  std::int64_t embedding_dim_;
  std::shared_ptr<BatchNormContext> norm_context_;
  torch::Tensor pos_embed_, mask_token_;  ///< [1, patches, C], [1, 1, C]
  torch::nn::Conv2d patch_proj_{nullptr};
  std::vector<std::shared_ptr<TransformerBlock>> blocks_;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear feature_linear1_{nullptr}, feature_linear2_{nullptr};
  torch::nn::BatchNorm1d feature_norm1_{nullptr}, feature_norm2_{nullptr};
};

}  // namespace diffprob::model
