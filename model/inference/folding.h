#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Of every batch norm in the backbones, except those after the linear maps of vision transformers.
inline constexpr double kBatchNormEpsilon = 1e-5;

/// Parameters and buffers of a network by their state-dict names. They are those of the network,
/// not copies.
class NamedWeights {
 public:
  explicit NamedWeights(const torch::nn::Module& module);
  [[nodiscard]] bool has(const std::string& name) const { return tensors_.contains(name); }
  /// As float64 on the CPU. Throws c10::Error that names the missing tensor.
  [[nodiscard]] at::Tensor at(const std::string& name) const;
  /// Throws as at().
  [[nodiscard]] std::vector<std::int64_t> sizes(const std::string& name) const;

 private:
  [[nodiscard]] const at::Tensor& find(const std::string& name) const;

  std::map<std::string, at::Tensor> tensors_;
};

/// y = scale * x + shift, one pair a channel, float64.
struct ChannelAffine {
  at::Tensor scale;
  at::Tensor shift;
};

/// What batch norm `prefix` does in evaluation mode; without learned weights (affine false) too.
[[nodiscard]] ChannelAffine evaluated_batch_norm(const NamedWeights& weights,
                                                 const std::string& prefix,
                                                 double epsilon = kBatchNormEpsilon);

/// A convolution without bias [out, in, k, k] or linear map [out, in], and the batch norm after it.
struct FoldedWeights {
  at::Tensor weight;  ///< float64, as the convolution's
  at::Tensor bias;    ///< [out] float64
};
[[nodiscard]] FoldedWeights fold_after(const at::Tensor& weight, const ChannelAffine& after);

/// A batch norm of pictures [channels, h, w], their flattening, a linear map with weight [D,
/// channels * h * w] and bias [D], and a batch norm of what it gives.
[[nodiscard]] FoldedWeights fold_flattened(const ChannelAffine& before, const at::Tensor& weight,
                                           const at::Tensor& bias, const ChannelAffine& after);

/// A batch norm, a 3x3 convolution with zero padding 1 and stride 1, and another batch norm. Zeros
/// are padded after the first batch norm, so its shift is missing where a tap falls outside: the
/// bias of a pixel depends on which edges it touches.
struct BorderedWeights {
  at::Tensor weight;  ///< [out, in, 3, 3] float64
  /// [3, 3, out] float64: first row, those between, last row; the same of columns.
  at::Tensor bias;
};
[[nodiscard]] BorderedWeights fold_around(const ChannelAffine& before, const at::Tensor& weight,
                                          const ChannelAffine& after);

}  // namespace diffprob::model
