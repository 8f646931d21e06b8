#pragma once

#include <cstdint>

#include "model/folded_norm/threads.h"
#include "model/kernels/gpu_rows.h"

/// Launches of the kernels of a folded batch norm. Every pointer is to device memory; work is put
/// on the stream and nothing waits. ops.h says what the arrays mean.
namespace diffprob::model::gpu {

/// A weight [outputs, 3, 3, channels] in device memory; channels a multiple of 4.
struct FoldWeight {
  const float* weight;
  int outputs;
  int channels;
};
/// folded <- weight * scale in `type`; border [16, outputs], constant [outputs].
void fold(const FoldWeight& from, const ChannelArrays& norm, Number type, void* folded,
          float* border, float* constant, CUstream_st* stream);

/// y += border on the border of the pictures.
void add_border(const thread::Pictures& pictures, Number type, const float* border, void* y,
                CUstream_st* stream);

/// inside [channels, 9]; partials [4, blocks, 3, channels] is room for the kernels.
[[nodiscard]] int side_blocks(const thread::Pictures& pictures, Number type, int multiprocessors);
void sums_inside(const thread::Pictures& pictures, Number type, const void* grad, float* partials,
                 int blocks, float* inside, CUstream_st* stream);

/// What folded_gradients() reads; `type` is that of with_x.
struct FoldedProducts {
  Number type;
  const void* with_x;
  const float* inside;
};
/// gradient <- that of the weight; partials [blocks, 2, channels] <- what sum_gradients() of the
/// batch norm would find.
[[nodiscard]] int weight_gradient_blocks(const FoldWeight& weight, int multiprocessors);
void weight_gradients(const FoldWeight& weight, const FoldedProducts& products,
                      const ChannelArrays& norm, float* gradient, float* partials, int blocks,
                      CUstream_st* stream);

}  // namespace diffprob::model::gpu
