#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/optim/optimizer.h"
#include "model/softmax/chunk_softmax.h"
#include "model/softmax/head_update.h"
#include "model/softmax/step_classes.h"
#include "model/softmax/threads.h"

/// The head's element-wise work by the GPU's own kernels. One of two sibling files implements them:
/// gpu_ops.cpp, or, in a build without CUDA, gpu_absent.cpp. All on the current stream;
/// nothing waits.
namespace diffprob::model::gpu {

/// float32 [c, B] on a GPU, one line a class.
[[nodiscard]] bool has_product_kernels(const at::Tensor& values);
/// As in chunk_softmax.h.
void maxima_of_products(const Chunk& chunk, const TargetPositions& targets,
                        NonTargetMaxima& maxima);
void exponentials_of_products(const Chunk& chunk, const TargetPositions& targets, double scale,
                              const at::Tensor& reference, const at::Tensor& sums);

/// x [B, D] float32 on a GPU, numbers of a row side by side.
[[nodiscard]] bool has_target_classes(const at::Tensor& x);
/// Writes cosine [B] float64 and inverse_norms [B] where the target class is among `classes`;
/// leaves the others as they are.
void target_cosines(const StepClasses& classes, const at::Tensor& x, const at::Tensor& cosine,
                    const at::Tensor& inverse_norms);
/// As TargetClasses::add_gradients.
void add_target_gradients(const StepClasses& classes, const at::Tensor& inverse_norms,
                          const at::Tensor& slope, const at::Tensor& gradients);

/// Weights [C_r, D] on a GPU with D a multiple of 4.
[[nodiscard]] bool has_head_sgd(const at::Tensor& weight);
struct HeadState {
  at::Tensor weight, momentum;  ///< [C_r, D] float32 or bfloat16, both alike
  std::int64_t first_class;
  std::uint64_t key;      ///< of this step's rounding
  at::Tensor device_key;  ///< [1] int64, takes its place where it is defined
};
/// Projection of the gradients and SGD in one pass. step.rate counts unless control.device_rate is
/// defined.
void head_sgd(const HeadState& state, const RowGradients& rows, const HeadSgdStep& step,
              const StepControl& control);

}  // namespace diffprob::model::gpu
