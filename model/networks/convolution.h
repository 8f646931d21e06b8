#pragma once

#include <torch/nn/modules/conv.h>

#include "dist/reducer/gradient_places.h"
#include "model/networks/options.h"

namespace diffprob::model {

/// What the convolutions of one network share; null: absent.
struct ConvolutionContext {
  const SixteenBitWeights* weights = nullptr;
  dist::GradientPlaces* places = nullptr;
};
[[nodiscard]] inline ConvolutionContext convolutions_of(const BackboneOptions& options) {
  return {options.sixteen_bit_weights, options.gradient_places};
}

/// Returns the layer's weight in that type, from the context where it has it; no gradient flows
/// through it.
[[nodiscard]] at::Tensor weight_as(const torch::nn::Conv2dImpl& layer, at::ScalarType type,
                                   const ConvolutionContext& context);

/// Returns the layer's output for x [N, C, H, W]. In training, where the context has the weight in
/// 16 bit, x is cast to that type and the gradient of the weight goes to its place; else this is
/// the layer's own forward().
[[nodiscard]] at::Tensor convolution(torch::nn::Conv2dImpl& layer, const at::Tensor& x,
                                     const ConvolutionContext& context);

}  // namespace diffprob::model
