#pragma once

#include "model/folded_norm/ops.h"

/// The passes of ops.h by the GPU's kernels. One of two sibling files implements them: gpu_ops.cpp,
/// or gpu_absent.cpp in a build without CUDA. All work is put on the current stream; nothing waits.
namespace diffprob::model::gpu {

/// Returns true for a float32 weight on a GPU, [K, C, 3, 3] with strides of channels-last, whose
/// input and output have_batch_kernels().
[[nodiscard]] bool has_fold_kernels(const at::Tensor& weight);

[[nodiscard]] FoldedWeight fold(const at::Tensor& weight, const BatchAffine& affine,
                                const BatchStatistics& statistics, at::ScalarType type);
/// y and grad: has_batch_kernels().
void add_border(const at::Tensor& y, const at::Tensor& border);
[[nodiscard]] at::Tensor sums_inside(const at::Tensor& grad);
[[nodiscard]] BatchGradientSums folded_gradients(
    const FoldedGradients& given, const at::Tensor& weight, const at::Tensor& weight_gradient,
    const BatchAffine& affine, const BatchStatistics& statistics, const BatchAffine& places);

}  // namespace diffprob::model::gpu
