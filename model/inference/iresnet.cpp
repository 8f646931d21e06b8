#include <optional>
#include <vector>

#include <ATen/ATen.h>

#include "model/inference/activation.h"
#include "model/inference/convolution.h"
#include "model/inference/trunk.h"

namespace diffprob::model {
namespace {

/// Side after a 3x3 convolution with padding 1.
std::int64_t side_after(std::int64_t side, std::int64_t stride) {
  return (side - 1) / stride + 1;
}

struct Excitation {
  InferenceConvolution reduce, expand;

  [[nodiscard]] at::Tensor weights_of(const at::Tensor& x) const {
    return expand(reduce(channel_means(x)).relu_()).sigmoid_();
  }
};

struct Block {
  InferenceConvolution conv1;  // without bias: the pass of the PReLU adds it
  BorderedPrelu prelu;
  InferenceConvolution conv2;
  std::optional<InferenceConvolution> shortcut;
  std::optional<Excitation> excitation;

  /// May overwrite x.
  [[nodiscard]] at::Tensor run(const at::Tensor& x) const {
    at::Tensor y = conv1(x);
    prelu.apply(y);
    at::Tensor sum = shortcut ? (*shortcut)(x) : x;
    if (!excitation) {
      conv2.add_to(sum, y);
      return sum;
    }
    y = conv2(y);
    add_scaled(sum, y, excitation->weights_of(y));
    return sum;
  }
};

Excitation make_excitation(const NamedWeights& weights, const std::string& prefix,
                           const at::TensorOptions& options) {
  const auto pointwise = [&](const char* name) {
    const std::string bias = prefix + name + ".bias";
    return InferenceConvolution(
        weights.at(prefix + name + ".weight"),
        weights.has(bias) ? std::optional<at::Tensor>(weights.at(bias)) : std::nullopt, {.side = 1},
        options);
  };
  return {pointwise("fc1"), pointwise("fc2")};
}

/// A block whose input has `side` pixels a side; `prefix` ends with a point.
Block make_block(const NamedWeights& weights, const std::string& prefix, std::int64_t side,
                 const at::TensorOptions& options) {
  const bool shrinks = weights.has(prefix + "downsample.0.weight");
  const std::int64_t stride = shrinks ? 2 : 1;
  const auto norm = [&](const char* name) { return evaluated_batch_norm(weights, prefix + name); };
  const BorderedWeights first =
      fold_around(norm("bn1"), weights.at(prefix + "conv1.weight"), norm("bn2"));
  const FoldedWeights second = fold_after(weights.at(prefix + "conv2.weight"), norm("bn3"));
  Block block{{first.weight, std::nullopt, {.side = side, .padding = 1}, options},
              {first, weights.at(prefix + "prelu.weight"), side, options},
              {second, {.side = side, .stride = stride, .padding = 1}, options},
              std::nullopt,
              std::nullopt};
  if (shrinks) {
    block.shortcut.emplace(
        fold_after(weights.at(prefix + "downsample.0.weight"), norm("downsample.1")),
        ConvolutionPlace{.side = side, .stride = stride}, options);
  }
  if (weights.has(prefix + "se_block.fc1.weight"))
    block.excitation = make_excitation(weights, prefix + "se_block.", options);
  return block;
}

/// Batch norm, flattening (channels, h, w), linear, batch norm, as one map of (h, w, channels).
FoldedWeights fold_output(const NamedWeights& weights) {
  const ChannelAffine before = evaluated_batch_norm(weights, "bn2");
  const FoldedWeights folded =
      fold_flattened(before, weights.at("fc.weight"), weights.at("fc.bias"),
                     evaluated_batch_norm(weights, "features"));
  const std::int64_t dim = folded.bias.numel();
  return {folded.weight.view({dim, before.scale.numel(), -1}).transpose(1, 2).reshape({dim, -1}),
          folded.bias};
}

class IResNetTrunk : public InferenceTrunk {
 public:
  IResNetTrunk(const NamedWeights& weights, const at::TensorOptions& options)
      : stem_(fold_after(weights.at("conv1.weight"), evaluated_batch_norm(weights, "bn1")),
              {.side = kFaceSide, .stride = iresnet_stem_stride(weights), .padding = 1}, options),
        prelu_(weights.at("prelu.weight"), weights.at("conv1.weight").size(0), options) {
    std::int64_t side = side_after(kFaceSide, iresnet_stem_stride(weights));
    for (int stage = 1; stage <= 4; ++stage) {
      const std::string name = "layer" + std::to_string(stage) + ".";
      for (int i = 0; weights.has(name + std::to_string(i) + ".conv1.weight"); ++i) {
        blocks_.push_back(make_block(weights, name + std::to_string(i) + ".", side, options));
        if (i == 0) side = side_after(side, 2);
      }
    }
    output_ = fold_output(weights);
  }

  at::Tensor run(const at::Tensor& faces) const override {
    at::Tensor x = stem_(faces);
    prelu_.apply(x);
    for (const Block& block : blocks_) x = block.run(x);
    return x;
  }

 private:
  InferenceConvolution stem_;
  InferencePrelu prelu_;
  std::vector<Block> blocks_;
};

}  // namespace

bool is_iresnet(const NamedWeights& weights) {
  return weights.has("layer4.0.conv2.weight") && weights.has("fc.weight") &&
         weights.has("features.running_var");
}

std::int64_t iresnet_stem_stride(const NamedWeights& weights) {
  const std::int64_t pixels =
      weights.sizes("fc.weight").at(1) / weights.sizes("bn2.running_mean").at(0);
  TORCH_CHECK(pixels == 49 || pixels == 16, "fc.weight takes ", pixels,
              " pixels, expected 49 or 16");
  return pixels == 49 ? 1 : 2;
}

std::unique_ptr<InferenceTrunk> make_iresnet_trunk(const NamedWeights& weights,
                                                   const at::TensorOptions& options) {
  return std::make_unique<IResNetTrunk>(weights, options);
}

}  // namespace diffprob::model
