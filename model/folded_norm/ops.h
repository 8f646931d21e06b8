#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_norm/ops.h"

namespace diffprob::model {

/// The passes of a batch norm a = x scale + shift that is folded into the 3x3 convolution after it
/// (stride 1, padding 1, no bias), W [K, C, 3, 3]. With conv(W scale, x) in place of conv(W, a), no
/// pass writes or reads a. What is missing is, in each output channel, the sum of W shift over the
/// taps that lie inside of the picture: one number for all pixels but those on the border. A batch
/// norm must take the output: it removes that number, and lets no sum over a channel into the
/// gradient. float16, bfloat16 and float32 on a GPU use the kernels of this room, everything else
/// LibTorch operators.

struct FoldedWeight {
  at::Tensor weight;    ///< [K, C, 3, 3], W scale in the type of x
  at::Tensor border;    ///< [16, K] what a pixel lacks beside one in the middle, a row for each of
                        ///< gpu::thread::BorderCode; float32 (float64 where x is)
  at::Tensor constant;  ///< [K] what every pixel lacks, of the same type
};
/// weight: float32 (on a GPU: with strides of channels-last); no gradient flows through this.
[[nodiscard]] FoldedWeight fold(const at::Tensor& weight, const BatchAffine& affine,
                                const BatchStatistics& statistics, at::ScalarType type);

/// y [N, K, H, W] += what the pixels on the border lack.
void add_border(const at::Tensor& y, const at::Tensor& border);

/// Returns [K, 9] the sums of grad [N, K, H, W], whose sums over a channel of the batch of all
/// ranks are zero, over those pixels whose tap lies inside of the picture; float32 (float64 where
/// grad is).
[[nodiscard]] at::Tensor sums_inside(const at::Tensor& grad);

/// What folded_gradients() reads; shapes as above.
struct FoldedGradients {
  at::Tensor with_x;  ///< [K, C, 3, 3] the convolution's gradient of its weight, x being the input
  at::Tensor inside;  ///< sums_inside() of the gradient of the output
};
/// Returns batch_gradient_sums() of the batch norm, which follow from the weights and these (sum of
/// da = <W, inside>, sum of da x = <W, with_x> in each input channel), and writes the gradient of
/// the convolution's weight, scale with_x + shift inside, to weight_gradient, laid out as weight.
[[nodiscard]] BatchGradientSums folded_gradients(
    const FoldedGradients& given, const at::Tensor& weight, const at::Tensor& weight_gradient,
    const BatchAffine& affine, const BatchStatistics& statistics, const BatchAffine& places = {});

}  // namespace diffprob::model
