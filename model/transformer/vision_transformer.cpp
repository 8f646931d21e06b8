#include "model/transformer/vision_transformer.h"

#include <cmath>
#include <map>

#include <ATen/autocast_mode.h>
#include <torch/nn/modules/container/sequential.h>

#include "model/networks/activation_format.h"
#include "model/networks/fused_linear.h"
#include "model/networks/initial_weights.h"
#include "model/transformer/draws.h"

namespace diffprob::model {
namespace nn = torch::nn;
namespace {

constexpr double kDeviation = 0.02;  // of initial weights

/// Turns autocast off while it lives: the features are float32 in the reference, whatever the
/// blocks compute in.
class FullPrecision {
 public:
  explicit FullPrecision(at::DeviceType device)
      : device_(device), enabled_(at::autocast::is_autocast_enabled(device)) {
    at::autocast::set_autocast_enabled(device_, false);
  }
  ~FullPrecision() { at::autocast::set_autocast_enabled(device_, enabled_); }
  FullPrecision(const FullPrecision&) = delete;
  FullPrecision& operator=(const FullPrecision&) = delete;

 private:
  at::DeviceType device_;
  bool enabled_;
};

nn::BatchNorm1d feature_norm(std::int64_t channels) {
  return nn::BatchNorm1d(nn::BatchNorm1dOptions(channels).eps(kFeatureNormEpsilon));
}

nn::Linear plain_linear(std::int64_t in, std::int64_t out) {
  return nn::Linear(nn::LinearOptions(in, out).bias(false));
}

/// The published shape with what the options say otherwise.
VisionTransformerShape adjusted(VisionTransformerShape shape, const BackboneOptions& options) {
  if (options.drop_path >= 0) shape.drop_path = options.drop_path;
  if (options.mask_ratio >= 0) shape.mask_ratio = options.mask_ratio;
  TORCH_CHECK(shape.drop_path < 1, "backbone: expected a drop path in [0, 1), got ",
              shape.drop_path);
  TORCH_CHECK(shape.mask_ratio < 1 && shape.masked_patches() < shape.patches(),
              "backbone: expected a mask ratio that leaves a patch, got ", shape.mask_ratio);
  return shape;
}

}  // namespace

std::int64_t VisionTransformerShape::masked_patches() const {
  return patches() - static_cast<std::int64_t>(static_cast<double>(patches()) * (1 - mask_ratio));
}

std::optional<VisionTransformerShape> vision_transformer_shape(const std::string& name) {
  // arcface_torch and CVLface mask a tenth of the patches whenever their mask_ratio is not 0: that
  // is what vit_l (0.05 there) and cvlface_vit_s (0.05) do in their trainings.
  static const std::map<std::string, VisionTransformerShape> kShapes = {
      {"vit_nano", {{64, 2, 256}, 2}},
      {"vit_t", {{256, 8, 1024}, 12}},
      {"vit_s", {{512, 8, 2048}, 12}},
      {"vit_b", {{512, 8, 2048}, 24}},
      {"vit_l", {{768, 8, 3072}, 24, 9, 0.05}},
      {"vit_h", {{1024, 8, 4096}, 48, 9, 0.1, 0.0}},
      {"cvlface_vit_s", {{512, 8, 2560}, 12, 8}},
      {"cvlface_vit_b", {{512, 16, 1536}, 24, 8, 0.1, 0.0, false}}};
  const auto found = kShapes.find(name);
  return found == kShapes.end() ? std::nullopt : std::optional(found->second);
}

VisionTransformer::VisionTransformer(const VisionTransformerShape& shape,
                                     const BackboneOptions& options)
    : shape_(adjusted(shape, options)),
      embedding_dim_(options.embedding_dim),
      norm_context_(std::make_shared<BatchNormContext>(
          BatchNormContext{.sync = options.sync_batch_norm, .fused = options.fused_batch_norm})) {
  const std::int64_t width = shape_.block.width;
  pos_embed_ = register_parameter("pos_embed", at::zeros({1, shape_.patches(), width}));
  const bool masks = shape_.masked_patches() > 0;
  if (masks || shape_.always_has_mask_token) {
    mask_token_ = register_parameter("mask_token", at::zeros({1, 1, width}));
    mask_token_.set_requires_grad(masks);
  }
  patch_proj_ = nn::Conv2d(nn::Conv2dOptions(3, width, shape_.patch).stride(shape_.patch));
  register_module("patch_embed", std::make_shared<nn::Module>())
      ->register_module("proj", patch_proj_);
  const auto blocks = register_module("blocks", std::make_shared<nn::Module>());
  for (std::int64_t i = 0; i < shape_.depth; ++i) {
    blocks_.push_back(blocks->register_module(
        std::to_string(i),
        std::make_shared<TransformerBlock>(shape_.block, norm_context_, options.recompute)));
  }
  norm_ = register_module("norm", nn::LayerNorm(nn::LayerNormOptions({width})));
  feature_linear1_ = plain_linear(width * shape_.patches(), width);
  feature_norm1_ = feature_norm(width);
  feature_linear2_ = plain_linear(width, embedding_dim_);
  feature_norm2_ = feature_norm(embedding_dim_);
  register_module("feature", nn::Sequential(feature_linear1_, feature_norm1_, feature_linear2_,
                                            feature_norm2_));
  initialise(options.seed);
}

void VisionTransformer::initialise(std::uint64_t seed) {
  for (const auto& item : named_parameters()) {
    const std::string& name = item.key();
    if (name.starts_with("patch_embed.")) {
      const std::int64_t inputs = 3 * shape_.patch * shape_.patch;
      initialise_uniform(item.value(), 1 / std::sqrt(static_cast<double>(inputs)), seed, name);
    } else if (item.value().dim() >= 2) {
      initialise_normal(item.value(), kDeviation, seed, name);
    } else if (name.ends_with("bias")) {
      const at::NoGradGuard no_grad;
      item.value().zero_();
    }
  }
}

torch::Tensor VisionTransformer::embed_patches(const torch::Tensor& faces) {
  const at::Tensor patches =  // [b, C, side, side]
      stem_convolution(*patch_proj_, prepare_faces(faces, norm_context_->fused), {});
  return (patches.flatten(2).transpose(1, 2) + pos_embed_).flatten(0, 1);
}

torch::Tensor VisionTransformer::with_mask_tokens(const torch::Tensor& x, const torch::Tensor& kept,
                                                  std::int64_t images) {
  const at::Tensor tokens =
      mask_token_.view({1, -1}).to(x.scalar_type()).expand({images * shape_.patches(), -1});
  return tokens.index_copy(0, kept, x);
}

torch::Tensor VisionTransformer::features(const torch::Tensor& x) {
  const FullPrecision full_precision(x.device().type());
  const at::Tensor inner =
      batch_norm(*feature_norm1_, linear(*feature_linear1_, x), *norm_context_);
  return batch_norm(*feature_norm2_, linear(*feature_linear2_, inner), *norm_context_);
}

torch::Tensor VisionTransformer::forward(torch::Tensor faces) {
  const std::int64_t images = faces.size(0);
  at::Tensor x = embed_patches(faces);
  at::Tensor kept;
  std::vector<BlockImages> taking_part(blocks_.size());
  if (is_training() && shape_.masked_patches() > 0) {
    const at::Tensor first = at::arange(images).unsqueeze(1) * shape_.patches();
    const at::Tensor places =
        draw_kept_patches(images, shape_.patches(), shape_.masked_patches(), context_);
    kept = (places + first).flatten().to(x.device());
    x = x.index_select(0, kept);
  }
  if (is_training() && shape_.drop_path > 0)
    taking_part = images_taking_part(
        draw_branch_factors(images, shape_.depth, shape_.drop_path, context_), x.device());
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    x = blocks_[i]->forward({x, images}, taking_part[i]);
  x = norm_->forward(x.to(patch_proj_->weight.scalar_type()));
  if (kept.defined()) x = with_mask_tokens(x, kept, images);
  return features(x.view({images, -1}));
}

}  // namespace diffprob::model
