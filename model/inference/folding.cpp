#include "model/inference/folding.h"

#include <array>

#include <ATen/ATen.h>

namespace diffprob::model {
namespace {

at::Tensor per_output(const at::Tensor& values, const at::Tensor& weight) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  shape[0] = values.numel();
  return values.view(shape);
}

/// Taps of a 3x3 kernel that fall inside, for a pixel at the start, in the middle, at the end of an
/// axis: [first, first + count)
struct Taps {
  std::int64_t first, count;
};
constexpr std::array<Taps, 3> kInside = {{{1, 2}, {0, 3}, {0, 2}}};

}  // namespace

NamedWeights::NamedWeights(const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) tensors_[item.key()] = item.value().detach();
  for (const auto& item : module.named_buffers()) tensors_[item.key()] = item.value();
}

const at::Tensor& NamedWeights::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  TORCH_CHECK(found != tensors_.end(), "the backbone has no tensor ", name);
  return found->second;
}

at::Tensor NamedWeights::at(const std::string& name) const {
  return find(name).to(at::kCPU, at::kDouble);
}

std::vector<std::int64_t> NamedWeights::sizes(const std::string& name) const {
  return find(name).sizes().vec();
}

ChannelAffine evaluated_batch_norm(const NamedWeights& weights, const std::string& prefix,
                                   double epsilon) {
  at::Tensor scale = (weights.at(prefix + ".running_var") + epsilon).rsqrt();
  if (weights.has(prefix + ".weight")) scale = scale * weights.at(prefix + ".weight");
  at::Tensor shift = -weights.at(prefix + ".running_mean") * scale;
  if (weights.has(prefix + ".bias")) shift = shift + weights.at(prefix + ".bias");
  return {scale, shift};
}

FoldedWeights fold_after(const at::Tensor& weight, const ChannelAffine& after) {
  return {weight * per_output(after.scale, weight), after.shift};
}

FoldedWeights fold_flattened(const ChannelAffine& before, const at::Tensor& weight,
                             const at::Tensor& bias, const ChannelAffine& after) {
  const at::Tensor by_channel = weight.view({weight.size(0), before.scale.numel(), -1});
  const at::Tensor inner = bias + (by_channel.sum(2) * before.shift).sum(1);
  const at::Tensor map = (by_channel * before.scale.view({1, -1, 1})).view_as(weight);
  return {map * after.scale.unsqueeze(1), inner * after.scale + after.shift};
}

BorderedWeights fold_around(const ChannelAffine& before, const at::Tensor& weight,
                            const ChannelAffine& after) {
  TORCH_CHECK(weight.dim() == 4 && weight.size(2) == 3 && weight.size(3) == 3,
              "fold_around: expected a 3x3 convolution, got ", weight.sizes());
  const FoldedWeights outer = fold_after(weight, after);
  const at::Tensor by_tap =  // [out, 3, 3]
      (outer.weight * before.shift.view({1, -1, 1, 1})).sum(1);
  at::Tensor bias = at::empty({3, 3, weight.size(0)}, weight.options());
  for (std::int64_t y = 0; y < 3; ++y) {
    for (std::int64_t x = 0; x < 3; ++x) {
      const Taps rows = kInside[static_cast<std::size_t>(y)],
                 columns = kInside[static_cast<std::size_t>(x)];
      const at::Tensor inside =
          by_tap.narrow(1, rows.first, rows.count).narrow(2, columns.first, columns.count);
      bias.select(0, y).select(0, x).copy_(inside.sum({1, 2}) + outer.bias);
    }
  }
  return {outer.weight * before.scale.view({1, -1, 1, 1}), bias};
}

}  // namespace diffprob::model
