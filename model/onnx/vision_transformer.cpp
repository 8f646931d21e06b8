#include "model/onnx/vision_transformer.h"

#include <cmath>

#include <ATen/ATen.h>

namespace diffprob::model {
namespace {

constexpr double kLayerNormEpsilon = 1e-5;

using Integers = std::vector<std::int64_t>;

/// The layers as nodes. Tokens are [N * patches, C] throughout, so that every linear map is a Gemm
/// with the weight as the state dict has it.
class TransformerNodes {
 public:
  TransformerNodes(OnnxModel& model, const VisionTransformerShape& shape,
                   const NamedWeights& weights)
      : model_(model), shape_(shape), weights_(weights) {
    const std::int64_t width = shape.block.width, heads = shape.block.heads;
    number("layer_norm_epsilon", kLayerNormEpsilon);
    number("attention_scale", 1 / std::sqrt(static_cast<double>(width / heads)));
    number("zero", 0);
    number("six", 6);
    model_.add_integers("columns", {1});
    for (std::int64_t part = 0; part <= 3; ++part)
      model_.add_integers("column_" + std::to_string(part), {part * width});
    model_.add_integers("by_patch", {0, width, shape.patches()});
    model_.add_integers("by_token", {-1, width});
    model_.add_integers("by_head", {-1, shape.patches(), heads, width / heads});
    model_.add_integers("by_image", {-1, shape.patches() * width});
  }

  std::string patches(const std::string& faces) {
    const std::string name = "patch_embed.proj";
    const std::string convolved = model_.add_node(
        "Conv", {faces, stored(name + ".weight"), stored(name + ".bias")}, name,
        {{"kernel_shape", Integers(2, shape_.patch)}, {"strides", Integers(2, shape_.patch)}});
    const std::string columns =
        model_.add_node("Reshape", {convolved, "by_patch"}, "patch_embed.flatten");
    const std::string rows = transpose(columns, {0, 2, 1}, "patch_embed.transpose");
    return reshape(model_.add_node("Add", {rows, stored("pos_embed")}, "pos_embed.add"), "by_token",
                   "patch_embed");
  }

  std::string block(const std::string& x, const std::string& name) {
    const std::string seen = model_.add_node(
        "Add", {x, attention(layer_norm(x, name + ".norm1"), name + ".attn")}, name + ".add1");
    const std::string hidden = linear(layer_norm(seen, name + ".norm2"), name + ".mlp.fc1");
    const std::string active = model_.add_node("Clip", {hidden, "zero", "six"}, name + ".mlp.act");
    return model_.add_node("Add", {seen, linear(active, name + ".mlp.fc2")}, name);
  }

  std::string layer_norm(const std::string& x, const std::string& name) {
    const std::string centred =
        model_.add_node("Sub", {x, row_mean(x, name + ".mean")}, name + ".centred");
    const std::string square = model_.add_node("Mul", {centred, centred}, name + ".square");
    const std::string variance = model_.add_node(
        "Add", {row_mean(square, name + ".variance"), "layer_norm_epsilon"}, name + ".sum");
    const std::string deviation = model_.add_node("Sqrt", {variance}, name + ".deviation");
    const std::string normed = model_.add_node("Div", {centred, deviation}, name + ".normed");
    const std::string scaled =
        model_.add_node("Mul", {normed, stored(name + ".weight")}, name + ".scaled");
    return model_.add_node("Add", {scaled, stored(name + ".bias")}, name);
  }

  std::string flatten(const std::string& x) { return reshape(x, "by_image", "flatten"); }

  /// A linear map without bias, and the batch norm after it.
  std::string linear_and_norm(const std::string& x, const std::string& name,
                              const std::string& norm, OnnxBatchNorm how,
                              const std::string& result) {
    const std::string weight = name + ".weight";
    if (how == OnnxBatchNorm::kKept) {
      const std::string y = gemm({x, stored(weight)}, name);
      return model_.add_node("BatchNormalization",
                             {y, stored(norm + ".weight"), stored(norm + ".bias"),
                              stored(norm + ".running_mean"), stored(norm + ".running_var")},
                             result, {{"epsilon", static_cast<float>(kFeatureNormEpsilon)}});
    }
    const auto folded = [&weights = weights_, weight, norm] {
      return fold_after(weights.at(weight),
                        evaluated_batch_norm(weights, norm, kFeatureNormEpsilon));
    };
    model_.add_weights(weight, weights_.sizes(weight), [folded] { return folded().weight; });
    model_.add_weights(name + ".bias", weights_.sizes(norm + ".bias"),
                       [folded] { return folded().bias; });
    return gemm({x, weight, name + ".bias"}, result);
  }

 private:
  void number(const std::string& name, double value) {
    model_.add_weights(name, {}, [value] { return at::scalar_tensor(value, at::kDouble); });
  }

  std::string stored(const std::string& name) {
    return model_.add_weights(name, weights_.sizes(name),
                              [&weights = weights_, name] { return weights.at(name); });
  }

  std::string gemm(const std::vector<std::string>& inputs, const std::string& name) {
    return model_.add_node("Gemm", inputs, name, {{"transB", std::int64_t{1}}});
  }

  std::string linear(const std::string& x, const std::string& name) {
    return gemm({x, stored(name + ".weight"), stored(name + ".bias")}, name);
  }

  std::string reshape(const std::string& x, const std::string& sizes, const std::string& name) {
    return model_.add_node("Reshape", {x, sizes}, name);
  }

  std::string transpose(const std::string& x, const Integers& order, const std::string& name) {
    return model_.add_node("Transpose", {x}, name, {{"perm", order}});
  }

  std::string row_mean(const std::string& x, const std::string& name) {
    return model_.add_node("ReduceMean", {x}, name,
                           {{"axes", Integers{1}}, {"keepdims", std::int64_t{1}}});
  }

  /// Queries, keys or values, [N, heads, patches, C / heads] in the given order of axes.
  std::string part(const std::string& qkv, int index, const Integers& order,
                   const std::string& name) {
    const std::string columns = model_.add_node(
        "Slice",
        {qkv, "column_" + std::to_string(index), "column_" + std::to_string(index + 1), "columns"},
        name + ".slice");
    return transpose(reshape(columns, "by_head", name + ".by_head"), order, name);
  }

  std::string attention(const std::string& x, const std::string& name) {
    const std::string qkv = gemm({x, stored(name + ".qkv.weight")}, name + ".qkv");
    const std::string q = model_.add_node(
        "Mul", {part(qkv, 0, {0, 2, 1, 3}, name + ".q"), "attention_scale"}, name + ".scaled_q");
    const std::string k = part(qkv, 1, {0, 2, 3, 1}, name + ".k");
    const std::string v = part(qkv, 2, {0, 2, 1, 3}, name + ".v");
    const std::string scores = model_.add_node("MatMul", {q, k}, name + ".scores");
    const std::string shares =
        model_.add_node("Softmax", {scores}, name + ".softmax", {{"axis", std::int64_t{-1}}});
    const std::string mixed = model_.add_node("MatMul", {shares, v}, name + ".mixed");
    const std::string tokens = transpose(mixed, {0, 2, 1, 3}, name + ".transpose");
    return linear(reshape(tokens, "by_token", name + ".tokens"), name + ".proj");
  }

  OnnxModel& model_;
  const VisionTransformerShape& shape_;
  const NamedWeights& weights_;
};

}  // namespace

std::int64_t add_vision_transformer(OnnxModel& model, const VisionTransformerShape& shape,
                                    const NamedWeights& weights, OnnxBatchNorm batch_norm,
                                    const std::string& input, const std::string& output) {
  TransformerNodes nodes(model, shape, weights);
  std::string x = nodes.patches(input);
  for (std::int64_t i = 0; i < shape.depth; ++i) x = nodes.block(x, "blocks." + std::to_string(i));
  x = nodes.flatten(nodes.layer_norm(x, "norm"));
  x = nodes.linear_and_norm(x, "feature.0", "feature.1", batch_norm, "feature.inner");
  nodes.linear_and_norm(x, "feature.2", "feature.3", batch_norm, output);
  return batch_norm == OnnxBatchNorm::kKept ? 2 : 0;
}

}  // namespace diffprob::model
