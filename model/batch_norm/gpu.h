#pragma once

#include <cstdint>

#include "model/batch_norm/threads.h"
#include "model/kernels/gpu_rows.h"

/// Launches of the GPU's batch norm kernels. Every pointer is to device memory; work is put on the
/// stream and nothing waits. threads.h says what the values mean.
namespace diffprob::model::gpu {

/// Arrays of the shape and type of the batch, rows x channels. A launch reads and writes those that
/// it names.
struct Arrays {
  const void* x;
  const void* grad = nullptr;      ///< gradient of the output
  const void* residual = nullptr;  ///< added to what is written; null: nothing is
  void* out = nullptr;             ///< y, or the gradient of x
};

/// Returns true if the kernels support this number of channels.
[[nodiscard]] bool is_supported(const Rows& rows);
/// Numbers of blocks that sum up rows; the partial sums of each block are stored apart and added in
/// a fixed order, so that results do not depend on which block ends first.
[[nodiscard]] int moment_blocks(const Rows& rows, int multiprocessors);
[[nodiscard]] int gradient_blocks(const Rows& rows, int multiprocessors);

/// partials [blocks, 2, channels] <- sums of (x - origin) and of its square, origin being the first
/// row.
void sum_shifted_moments(const Rows& rows, const void* x, float* partials, int blocks,
                         CUstream_st* stream);

/// What finish_moments() writes, [channels] each; running_*, num_batches and lacks may be null.
struct MomentOutputs {
  double* mean;
  double* m2;       ///< sum of (x - mean)^2; null: inv_std is written instead
  double* inv_std;  ///< 1 / sqrt(variance + eps)
  double eps;
  float* running_mean;
  float* running_var;
  double momentum;
  std::int64_t* num_batches;  ///< one number, counted up by 1
  const float* lacks;         ///< read: added to the mean that the running one moves to
};
void finish_moments(const Rows& rows, const void* x, const float* partials, int blocks,
                    const MomentOutputs& outputs, CUstream_st* stream);

/// out = prelu(BN(x)) + residual. partials: null, or [blocks, 2, channels] <- what
/// sum_shifted_moments() would find in out. blocks: normalize_blocks().
void normalize(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
               float* partials, int blocks, CUstream_st* stream);
/// The optional parts of a call of normalize().
struct NormalizeParts {
  bool slope;
  bool residual;
  bool moments;
};
[[nodiscard]] int normalize_blocks(const Rows& rows, const NormalizeParts& parts,
                                   int multiprocessors);

/// partials [blocks, 2 or 3, channels] <- sums of g, of g (x - mean) and, with a slope, its
/// gradient.
void sum_gradients(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
                   float* partials, int blocks, CUstream_st* stream);

/// What finish_gradient_sums() writes. Gradients of weight and bias, [channels] each, may be null;
/// that of a slope that there is may not.
struct GradientOutputs {
  double* sums;  ///< [2, channels], the partial sums of g and g (x - mean) added up
  float* weight;
  float* bias;
  float* slope;
};
void finish_gradient_sums(int channels, const float* partials, int blocks,
                          const ChannelArrays& parameters, const GradientOutputs& outputs,
                          CUstream_st* stream);

/// What the gradient of x needs to know of the whole batch.
struct BatchSums {
  const double* sums;          ///< [2, channels], over all ranks; null: statistics are frozen
  double count;                ///< values per channel
  const double* shared_count;  ///< over all ranks, on the device; null: use count
};
/// The layer without PReLU whose output x is; x null: it takes no part, as it has to be where the
/// layer of x has a slope.
struct BeforeArrays {
  const void* x;       ///< its input, of the shape and type of the batch
  const double* mean;  ///< [channels]
  float* partials;     ///< [blocks, 2, channels] <- what sum_gradients() would find for it
};
/// out = gradient of x + residual. blocks: input_gradient_blocks().
void input_gradients(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
                     const BatchSums& batch, const BeforeArrays& before, int blocks,
                     CUstream_st* stream);
/// The optional parts of a call of input_gradients().
struct InputGradientParts {
  bool slope;
  bool residual;
  bool before;
};
[[nodiscard]] int input_gradient_blocks(const Rows& rows, const InputGradientParts& parts,
                                        int multiprocessors);

}  // namespace diffprob::model::gpu
