#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>

#include "model/inference/folding.h"

namespace diffprob::model {

struct ConvolutionPlace {
  std::int64_t side = 0;  ///< of the input pictures, in pixels
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
};

/// A convolution that never trains, channels last. In float32 on a CPU with oneDNN its weights are
/// kept in oneDNN's blocked order, which plain convolutions would make anew at each call.
class InferenceConvolution {
 public:
  /// bias: nothing when another pass adds it. options: device and type.
  InferenceConvolution(const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       ConvolutionPlace place, const at::TensorOptions& options);
  InferenceConvolution(const FoldedWeights& folded, ConvolutionPlace place,
                       const at::TensorOptions& options)
      : InferenceConvolution(folded.weight, folded.bias, place, options) {}

  /// Pictures [b, in, side, side] channels last -> [b, out, h, w] channels last.
  [[nodiscard]] at::Tensor operator()(const at::Tensor& x) const;
  /// sum += operator()(x), in one pass where oneDNN does it.
  void add_to(at::Tensor& sum, const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  std::optional<at::Tensor> bias_;
  std::array<std::int64_t, 2> stride_, padding_;
  std::int64_t groups_;
  bool blocked_ = false;
};

}  // namespace diffprob::model
