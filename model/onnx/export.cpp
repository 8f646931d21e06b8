#include "model/onnx/export.h"

#include <ATen/ATen.h>

#include "model/inference/folding.h"
#include "model/inference/mobilefacenet_layers.h"
#include "model/inference/trunk.h"
#include "model/onnx/vision_transformer.h"
#include "model/onnx/writer.h"

namespace diffprob::model {
namespace {

constexpr const char* kInput = "input";
constexpr const char* kOutput = "embedding";
constexpr const char* kInputText =
    "aligned faces, 112 x 112, channels R, G, B, each value (x / 255 - 0.5) / 0.5";
constexpr const char* kOutputText =
    "one row per face, not normalised: compare rows by their cosine";

/// A model with its description and its input, without nodes.
OnnxModel start_model(const OnnxOptions& options, std::int64_t embedding_dim) {
  OnnxModel model(options.network, options.network + " for face recognition. " + kInput + ": " +
                                       kInputText + ". " + kOutput + ": " + kOutputText + ".");
  model.add_metadata("network", options.network);
  model.add_metadata("embedding_dim", std::to_string(embedding_dim));
  model.add_metadata("input", kInputText);
  model.add_metadata("batch_norm",
                     options.batch_norm == OnnxBatchNorm::kFolded ? "folded" : "kept");
  model.add_input(kInput, {kOnnxDynamic, 3, 112, 112}, kInputText);
  return model;
}

OnnxFile write_transformer(const std::string& path, const VisionTransformer& network,
                           const NamedWeights& weights, const OnnxOptions& options) {
  OnnxModel model = start_model(options, network.embedding_dim());
  const std::int64_t batch_norms =
      add_vision_transformer(model, network.shape(), weights, options.batch_norm, kInput, kOutput);
  model.add_output(kOutput, {kOnnxDynamic, network.embedding_dim()}, kOutputText);
  model.write(path);
  return {static_cast<std::int64_t>(model.size()), batch_norms};
}

/// The layers of the backbones as nodes. Each takes the name of a value and returns that of its
/// output; weights are made while the file is written.
class OnnxLayers {
 public:
  OnnxLayers(const NamedWeights& weights, const OnnxOptions& options, std::int64_t embedding_dim)
      : weights_(weights),
        folds_(options.batch_norm == OnnxBatchNorm::kFolded),
        embedding_dim_(embedding_dim),
        model_(start_model(options, embedding_dim)) {}

  [[nodiscard]] const NamedWeights& weights() const { return weights_; }

  /// A convolution without bias, and the batch norm after it. 3x3 kernels have padding 1.
  std::string convolution_and_norm(const std::string& x, const std::string& name,
                                   const std::string& norm, std::int64_t stride,
                                   std::int64_t groups = 1) {
    const std::string weight = name + ".weight";
    if (!folds_) return batch_norm(convolution({x, stored(weight)}, name, stride, groups), norm);
    const auto folded = [this, weight, norm] {
      return fold_after(weights_.at(weight), evaluated_batch_norm(weights_, norm));
    };
    model_.add_weights(weight, weights_.sizes(weight), [folded] { return folded().weight; });
    model_.add_weights(name + ".bias", weights_.sizes(norm + ".running_mean"),
                       [folded] { return folded().bias; });
    return convolution({x, weight, name + ".bias"}, name, stride, groups);
  }

  std::string batch_norm(const std::string& x, const std::string& name) {
    return batch_norm(x, name, name);
  }

  std::string prelu(const std::string& x, const std::string& name) {
    const std::string slope = name + ".weight";
    const std::int64_t channels = weights_.sizes(slope).at(0);
    model_.add_weights(slope, {channels, 1, 1}, [this, slope] {
      return weights_.at(slope).view({-1, 1, 1});
    });  // for each of [N, C, h, w]
    return model_.add_node("PRelu", {x, slope}, name);
  }

  std::string add(const std::string& x, const std::string& y, const std::string& name) {
    return model_.add_node("Add", {x, y}, name);
  }

  std::string squeeze_excitation(const std::string& x, const std::string& name) {
    const auto pointwise = [&](const std::string& input, const std::string& layer) {
      std::vector<std::string> inputs = {input, stored(layer + ".weight")};
      if (weights_.has(layer + ".bias")) inputs.push_back(stored(layer + ".bias"));
      return convolution(inputs, layer, 1, 1);
    };
    std::string y = model_.add_node("GlobalAveragePool", {x}, name + ".mean");
    y = model_.add_node("Relu", {pointwise(y, name + ".fc1")}, name + ".relu");
    y = model_.add_node("Sigmoid", {pointwise(y, name + ".fc2")}, name + ".sigmoid");
    return model_.add_node("Mul", {x, y}, name);
  }

  /// Batch norm `before` (none: ""), flattening, linear map, batch norm, which gives the embedding.
  void output(const std::string& x, const std::string& before, const std::string& linear,
              const std::string& after) {
    const bool normed = !before.empty();
    const std::string flat = model_.add_node(
        "Flatten", {normed && !folds_ ? batch_norm(x, before) : x}, linear + ".flatten");
    const std::string weight = linear + ".weight", bias = linear + ".bias";
    const std::vector<OnnxAttribute> transposed = {{"transB", std::int64_t{1}}};
    if (folds_) {
      const auto folded = [this, before, weight, bias, after] {
        return fold_output(before, weight, bias, after);
      };
      model_.add_weights(weight, weights_.sizes(weight), [folded] { return folded().weight; });
      model_.add_weights(bias, {embedding_dim_}, [folded] { return folded().bias; });
      model_.add_node("Gemm", {flat, weight, bias}, kOutput, transposed);
    } else {
      std::vector<std::string> inputs = {flat, stored(weight)};
      if (weights_.has(bias)) inputs.push_back(stored(bias));
      batch_norm(model_.add_node("Gemm", inputs, linear, transposed), after, kOutput);
    }
    model_.add_output(kOutput, {kOnnxDynamic, embedding_dim_}, kOutputText);
  }

  OnnxFile write(const std::string& path) const {
    model_.write(path);
    return {static_cast<std::int64_t>(model_.size()), batch_norms_};
  }

 private:
  std::string stored(const std::string& name) {
    return model_.add_weights(name, weights_.sizes(name),
                              [this, name] { return weights_.at(name); });
  }

  std::string convolution(const std::vector<std::string>& inputs, const std::string& name,
                          std::int64_t stride, std::int64_t groups) {
    const std::vector<std::int64_t> sizes = weights_.sizes(name + ".weight");
    const std::int64_t kernel = sizes.at(2), padding = kernel == 3 ? 1 : 0;
    return model_.add_node("Conv", inputs, name,
                           {{"kernel_shape", std::vector<std::int64_t>(2, kernel)},
                            {"strides", std::vector<std::int64_t>(2, stride)},
                            {"pads", std::vector<std::int64_t>(4, padding)},
                            {"group", groups}});
  }

  std::string batch_norm(const std::string& x, const std::string& prefix, const std::string& name) {
    ++batch_norms_;
    return model_.add_node(
        "BatchNormalization",
        {x, learned(prefix + ".weight", prefix, 1), learned(prefix + ".bias", prefix, 0),
         stored(prefix + ".running_mean"), stored(prefix + ".running_var")},
        name, {{"epsilon", static_cast<float>(kBatchNormEpsilon)}});
  }

  /// Of a batch norm `norm`; where it has no learned weights, `otherwise` for every channel.
  std::string learned(const std::string& name, const std::string& norm, double otherwise) {
    if (weights_.has(name)) return stored(name);
    const std::vector<std::int64_t> sizes = weights_.sizes(norm + ".running_mean");
    return model_.add_weights(
        name, sizes, [sizes, otherwise] { return at::full(sizes, otherwise, at::kFloat); });
  }

  [[nodiscard]] FoldedWeights fold_output(const std::string& before, const std::string& weight,
                                          const std::string& bias, const std::string& after) const {
    const ChannelAffine last = evaluated_batch_norm(weights_, after);
    const at::Tensor map = weights_.at(weight),
                     shift = weights_.has(bias) ? weights_.at(bias)
                                                : at::zeros({embedding_dim_}, at::kDouble);
    if (!before.empty())
      return fold_flattened(evaluated_batch_norm(weights_, before), map, shift, last);
    const FoldedWeights folded = fold_after(map, last);
    return {folded.weight, folded.bias + shift * last.scale};
  }

  const NamedWeights& weights_;
  bool folds_;
  std::int64_t embedding_dim_;
  OnnxModel model_;
  std::int64_t batch_norms_ = 0;
};

/// `name` without a point at its end.
std::string add_iresnet_block(OnnxLayers& layers, const std::string& x, const std::string& name) {
  const bool shrinks = layers.weights().has(name + ".downsample.0.weight");
  const std::int64_t stride = shrinks ? 2 : 1;
  std::string y = layers.batch_norm(x, name + ".bn1");
  y = layers.prelu(layers.convolution_and_norm(y, name + ".conv1", name + ".bn2", 1),
                   name + ".prelu");
  y = layers.convolution_and_norm(y, name + ".conv2", name + ".bn3", stride);
  if (layers.weights().has(name + ".se_block.fc1.weight"))
    y = layers.squeeze_excitation(y, name + ".se_block");
  const std::string shortcut = shrinks ? layers.convolution_and_norm(x, name + ".downsample.0",
                                                                     name + ".downsample.1", stride)
                                       : x;
  return layers.add(y, shortcut, name);
}

void add_iresnet(OnnxLayers& layers) {
  const NamedWeights& weights = layers.weights();
  std::string x = layers.prelu(
      layers.convolution_and_norm(kInput, "conv1", "bn1", iresnet_stem_stride(weights)), "prelu");
  for (int stage = 1; stage <= 4; ++stage) {
    const std::string name = "layer" + std::to_string(stage) + ".";
    for (int i = 0; weights.has(name + std::to_string(i) + ".conv1.weight"); ++i)
      x = add_iresnet_block(layers, x, name + std::to_string(i));
  }
  layers.output(x, "bn2", "fc", "features");
}

/// Convolution, batch norm and perhaps PReLU.
std::string add_layer(OnnxLayers& layers, const std::string& x, const NamedConvolution& layer) {
  const std::string y =
      layers.convolution_and_norm(x, layer.convolution, layer.norm, layer.stride, layer.groups);
  return layer.prelu.empty() ? y : layers.prelu(y, layer.prelu);
}

void add_mobilefacenet(OnnxLayers& layers, const MobileFaceNetLayers& network) {
  std::string x = kInput;
  for (const NamedConvolution& layer : network.head) x = add_layer(layers, x, layer);
  for (const NamedBottleneck& block : network.bottlenecks) {
    std::string y = add_layer(layers, add_layer(layers, x, block.expand), block.depthwise);
    y = add_layer(layers, y, block.project);
    x = block.adds_input() ? layers.add(x, y, block.name) : y;
  }
  for (const NamedConvolution& layer : network.tail) x = add_layer(layers, x, layer);
  layers.output(x, "", network.linear, network.norm);
}

}  // namespace

OnnxFile write_onnx(const std::string& path, const Backbone& backbone, const OnnxOptions& options) {
  const at::NoGradGuard no_grad;
  const NamedWeights weights(backbone);
  if (const auto* transformer = dynamic_cast<const VisionTransformer*>(&backbone))
    return write_transformer(path, *transformer, weights, options);
  OnnxLayers layers(weights, options, backbone.embedding_dim());
  if (is_iresnet(weights)) {
    add_iresnet(layers);
  } else {
    const auto network = mobilefacenet_layers(weights);
    TORCH_CHECK(network.has_value(), path, ": ", options.network,
                " is neither an IResNet nor a MobileFaceNet nor a vision transformer");
    add_mobilefacenet(layers, *network);
  }
  return layers.write(path);
}

}  // namespace diffprob::model
