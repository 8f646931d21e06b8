#pragma once

#include <cstdint>

#include "model/batch_norm/threads.h"

/// Launches of the GPU's batch norm kernels: rows x channels, channels beside each other. Every
/// pointer is to device memory; work is put on the stream, nothing waits. No torch headers here:
/// nvcc compiles this in seconds. What the values mean: batch_norm_threads.h.
struct CUstream_st;

namespace diffprob::model::gpu {

enum class Number { kFloat, kHalf, kBFloat16 };

struct Rows {
  Number type;
  std::int64_t count;
  int channels;
};

/// Whether the kernels can work on so many channels.
[[nodiscard]] bool is_supported(const Rows& rows);
/// Blocks that sum up rows; the partial sums of each are kept apart and added in order.
[[nodiscard]] int moment_blocks(const Rows& rows, int multiprocessors);
[[nodiscard]] int gradient_blocks(const Rows& rows, int multiprocessors);

/// partials [blocks, 2, channels] <- sums of (x - origin) and of its square, origin being the first
/// row.
void add_moments(const Rows& rows, const void* x, float* partials, int blocks, CUstream_st* stream);

/// What finish_moments writes, [channels] each; running_* and num_batches may be null.
struct Statistics {
  double* mean;
  double* squares;  ///< sum of squared distances from the mean; null: inverse instead
  double* inverse;  ///< 1 / sqrt(variance + eps)
  double eps;
  float* running_mean;
  float* running_var;
  double momentum;
  std::int64_t* num_batches;  ///< one number, counted up by 1
};
void finish_moments(const Rows& rows, const void* x, const float* partials, int blocks,
                    const Statistics& statistics, CUstream_st* stream);

/// y = prelu(BN(x)) + residual; residual may be null, slope of `channels` too. partials: null, or
/// [blocks, 2, channels] <- what add_moments would make of y. blocks: normalize_blocks().
void normalize(const Rows& rows, const void* x, const void* residual,
               const kernels::ChannelArrays& channels, void* y, float* partials, int blocks,
               CUstream_st* stream);
/// Which of them a call has.
struct NormalizeParts {
  bool slope;
  bool residual;
  bool moments;
};
[[nodiscard]] int normalize_blocks(const Rows& rows, const NormalizeParts& parts,
                                   int multiprocessors);

/// partials [blocks, 3, channels] <- sums of g, of g (x - mean), gradient of the slope.
void add_gradient_sums(const Rows& rows, const void* grad, const void* x,
                       const kernels::ChannelArrays& channels, float* partials, int blocks,
                       CUstream_st* stream);

/// sums [3, channels] float64 <- partials; gradients of the parameters, [channels] each, where not
/// null.
struct ParameterGradients {
  float* weight;
  float* bias;
  float* slope;
};
void finish_gradient_sums(const Rows& rows, const float* partials, int blocks,
                          const kernels::ChannelArrays& channels, double* sums,
                          const ParameterGradients& gradients, CUstream_st* stream);

/// What the gradient of x needs to know of the batch. sums [2 or 3, channels] float64, over all
/// ranks; null: the statistics are frozen.
struct BatchSums {
  const double* sums;
  double count;                ///< values a channel
  const double* shared_count;  ///< over all ranks, on the device; null: count
};
/// grad_x, plus extra (may be null).
void input_gradients(const Rows& rows, const void* grad, const void* x, const void* extra,
                     const kernels::ChannelArrays& channels, const BatchSums& batch, void* grad_x,
                     int multiprocessors, CUstream_st* stream);

}  // namespace diffprob::model::gpu
