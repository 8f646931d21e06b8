#pragma once

#include "model/batch_norm/ops.h"

/// The passes of ops.h by the GPU's kernels. One of two sibling files implements them: gpu_ops.cpp,
/// or gpu_absent.cpp in a build without CUDA. All work is put on the current stream; nothing waits.
namespace diffprob::model::gpu {

/// Returns true for float32, float16 or bfloat16 on a GPU, channels-last [N, C, H, W] or [N, C], C
/// a multiple of 8 (of 4: float32), at most 2048 (1024).
[[nodiscard]] bool has_batch_kernels(const at::Tensor& x);

[[nodiscard]] at::Tensor batch_moments(const at::Tensor& x, const at::Tensor& sums);
[[nodiscard]] BatchStatistics batch_statistics(const at::Tensor& x, double eps,
                                               const RunningStatistics& running,
                                               const at::Tensor& sums);
[[nodiscard]] at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine,
                                         const BatchStatistics& statistics,
                                         const at::Tensor& residual, at::Tensor* sums_of_output);
[[nodiscard]] BatchGradientSums batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x,
                                                    const BatchAffine& affine,
                                                    const BatchStatistics& statistics,
                                                    const BatchAffine& places,
                                                    const at::Tensor& known);
/// batch_gradient_sums(), given what the blocks of a kernel found: partials [blocks, 2 or, with a
/// slope, 3, C] float32.
[[nodiscard]] BatchGradientSums finished_gradient_sums(const at::Tensor& partials,
                                                       const BatchAffine& affine,
                                                       const BatchStatistics& statistics,
                                                       const BatchAffine& places);
[[nodiscard]] at::Tensor batch_input_gradient(const GivenGradients& given, const at::Tensor& x,
                                              const BatchAffine& affine,
                                              const BatchStatistics& statistics,
                                              const at::Tensor& sums, LayerBefore* before);

}  // namespace diffprob::model::gpu
