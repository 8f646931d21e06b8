#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "model/inference/trunk.h"
#include "model/transformer/vision_transformer.h"

namespace diffprob::model {
namespace {

/// A linear map in the layers' type.
struct LinearMap {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined

  LinearMap(const NamedWeights& weights, const std::string& name, const at::TensorOptions& options)
      : weight(weights.at(name + ".weight").to(options)) {
    if (weights.has(name + ".bias")) bias = weights.at(name + ".bias").to(options);
  }
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const {
    return bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
  }
};

/// Normalises float32 tokens and gives them in the layers' type.
struct TokenNorm {
  at::Tensor weight, bias;  ///< float32
  at::ScalarType type;

  TokenNorm(const NamedWeights& weights, const std::string& name, const at::TensorOptions& options)
      : weight(weights.at(name + ".weight").to(options.dtype(at::kFloat))),
        bias(weights.at(name + ".bias").to(options.dtype(at::kFloat))),
        type(c10::typeMetaToScalarType(options.dtype())) {}
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const {
    return at::layer_norm(x, weight.sizes(), weight, bias).to(type);
  }
};

struct InferenceBlock {
  TokenNorm norm1, norm2;
  LinearMap qkv, proj, fc1, fc2;
  std::int64_t heads;

  InferenceBlock(const NamedWeights& weights, const std::string& name, std::int64_t the_heads,
                 const at::TensorOptions& options)
      : norm1(weights, name + ".norm1", options),
        norm2(weights, name + ".norm2", options),
        qkv(weights, name + ".attn.qkv", options),
        proj(weights, name + ".attn.proj", options),
        fc1(weights, name + ".mlp.fc1", options),
        fc2(weights, name + ".mlp.fc2", options),
        heads(the_heads) {}

  /// x [images * n, C] float32, overwritten.
  void run(at::Tensor& x, std::int64_t images) const {
    const at::Tensor parts = qkv(norm1(x))
                                 .view({images, -1, 3, heads, x.size(1) / heads})
                                 .permute({2, 0, 3, 1, 4});  // [3, b, heads, n, C / heads]
    const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    x.add_(proj(mixed.transpose(1, 2).reshape(x.sizes())));
    at::Tensor hidden = fc1(norm2(x));
    x.add_(fc2(hidden.clamp_(0, 6)));
  }
};

/// The tokens between the layers are float32, whatever the layers compute in.
class VisionTransformerTrunk : public InferenceTrunk {
 public:
  VisionTransformerTrunk(const VisionTransformerShape& shape, const NamedWeights& weights,
                         const at::TensorOptions& options)
      : shape_(shape),
        patch_weight_(weights.at("patch_embed.proj.weight")
                          .to(options)
                          .contiguous(at::MemoryFormat::ChannelsLast)),
        start_((weights.at("pos_embed")[0] + weights.at("patch_embed.proj.bias"))
                   .to(options.dtype(at::kFloat))),
        norm_(weights, "norm", options.dtype(at::kFloat)) {
    for (std::int64_t i = 0; i < shape.depth; ++i)
      blocks_.emplace_back(weights, "blocks." + std::to_string(i), shape.block.heads, options);
    output_ = fold_features(weights);
  }

  at::Tensor run(const at::Tensor& faces) const override {
    const std::int64_t images = faces.size(0), side = shape_.side();
    const at::Tensor patches = at::conv2d(faces, patch_weight_, {}, shape_.patch);
    at::Tensor x = (patches.flatten(2).transpose(1, 2) + start_).flatten(0, 1);
    for (const InferenceBlock& block : blocks_) block.run(x, images);
    return norm_(x).view({images, side, side, -1}).permute({0, 3, 1, 2});
  }

 private:
  /// Linear map, batch norm, linear map, batch norm: one linear map.
  static FoldedWeights fold_features(const NamedWeights& weights) {
    const auto part = [&](const std::string& linear, const std::string& norm) {
      return fold_after(weights.at(linear + ".weight"),
                        evaluated_batch_norm(weights, norm, kFeatureNormEpsilon));
    };
    const FoldedWeights first = part("feature.0", "feature.1"),
                        second = part("feature.2", "feature.3");
    return {second.weight.mm(first.weight), second.weight.mv(first.bias) + second.bias};
  }

  VisionTransformerShape shape_;
  at::Tensor patch_weight_;
  at::Tensor start_;  ///< [patches, C] float32: bias and place of each patch
  std::vector<InferenceBlock> blocks_;
  TokenNorm norm_;
};

}  // namespace

std::unique_ptr<InferenceTrunk> make_vision_transformer_trunk(const VisionTransformer& network,
                                                              const NamedWeights& weights,
                                                              const at::TensorOptions& options) {
  return std::make_unique<VisionTransformerTrunk>(network.shape(), weights, options);
}

}  // namespace diffprob::model
