#include "model/batch_norm/gpu.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace diffprob::model::gpu {
namespace {

using kernels::ChannelArrays;
using kernels::Channels;
using kernels::ThreadLayout;
using kernels::ThreadPlace;

constexpr int kThreads = 256;
constexpr int kRowsAThread =
    8;  // at least, so that a block's start and end are small beside its work
constexpr int kMomentBlocks =
    4;  // of a processor that sum up rows, at most: as many as run at a time
constexpr int kGradientBlocks = 3;
constexpr int kLeastResident = 2;   // registers of every kernel allow so many
constexpr int kFinishChannels = 8;  // of a block of the finishing kernels
constexpr int kFinishParts = 32;    // threads that share one channel's partial sums
constexpr int kFinishWarps = kFinishChannels * kFinishParts / 32;

template <class T>
constexpr int kWidth = 16 / sizeof(T);

int width_of(Number type) {
  return type == Number::kFloat ? 4 : 8;
}

ThreadLayout layout_of(const Rows& rows, int blocks) {
  const int lanes = rows.channels / width_of(rows.type);
  return {rows.count, rows.channels, lanes, kThreads / lanes, blocks};
}

int blocks_for(const Rows& rows, int most) {
  const std::int64_t rows_at_once = kThreads / (rows.channels / width_of(rows.type));
  const std::int64_t wanted =
      (rows.count + rows_at_once * kRowsAThread - 1) / (rows_at_once * kRowsAThread);
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, most));
}

/// Blocks of a kernel that a processor runs at a time: with just as many no block waits for another
/// to end.
template <auto kernel>
int resident_blocks() {
  static const int blocks = [] {
    int found = 0;
    const cudaError_t state =
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&found, kernel, kThreads, 0);
    return state == cudaSuccess && found > 0 ? found : kLeastResident;
  }();
  return blocks;
}

void check_launch(const char* name) {
  if (const cudaError_t state = cudaGetLastError(); state != cudaSuccess) {
    throw std::runtime_error(std::string("batch norm on the GPU: ") + name + ": " +
                             cudaGetErrorString(state));
  }
}

/// Calls body(T{}) with the type of the numbers.
template <class Body>
void with_type(Number type, const Body& body) {
  if (type == Number::kFloat) return body(float{});
  if (type == Number::kHalf) return body(c10::Half{});
  body(c10::BFloat16{});
}

/// Calls body with both as compile-time constants.
template <class Body>
void with_constants(bool first, bool second, const Body& body) {
  if (first) {
    second ? body(std::true_type{}, std::true_type{}) : body(std::true_type{}, std::false_type{});
  } else {
    second ? body(std::false_type{}, std::true_type{}) : body(std::false_type{}, std::false_type{});
  }
}

/// Sums of a block's threads that share channels: the first row of threads ends up with them, in
/// shared memory [kQuantities][channels].
template <int kQuantities, int width>
__device__ void store_block_sums(float (&sums)[kQuantities][width], const ThreadLayout& layout,
                                 const ThreadPlace& place, float* partials) {
  extern __shared__ float shared[];  // [rows_at_once][channels]
  const int row = threadIdx.x / layout.lanes;
  DIFFPROB_UNROLL(8)
  for (int q = 0; q < kQuantities; ++q) {
    if (place.channel >= 0) {
      DIFFPROB_UNROLL(8)
      for (int i = 0; i < width; ++i)
        shared[row * layout.channels + place.channel + i] = sums[q][i];
    }
    __syncthreads();
    for (int c = threadIdx.x; c < layout.channels; c += kThreads) {
      float total = 0;
      for (int r = 0; r < layout.rows_at_once; ++r) total += shared[r * layout.channels + c];
      partials[(static_cast<std::int64_t>(blockIdx.x) * kQuantities + q) * layout.channels + c] =
          total;
    }
    __syncthreads();
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_moments(const T* x, ThreadLayout layout, float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = kernels::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[2][width] = {};
  if (place.channel >= 0) kernels::add_moments<T, width>(x, layout, place, sums[0], sums[1]);
  store_block_sums<2, width>(sums, layout, place, partials);
}

template <class T, bool with_slope, bool with_residual, bool with_moments>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_normalize(const T* x, const T* residual, ChannelArrays arrays, ThreadLayout layout,
                       T* y, float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = kernels::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[2][width] = {};
  if (place.channel >= 0) {
    const Channels<width> channels = kernels::channels_of<width>(arrays, place.channel);
    kernels::normalize<T, width, with_slope, with_residual, with_moments>(
        x, residual, channels, layout, place, y, sums[0], sums[1]);
  }
  if constexpr (with_moments) store_block_sums<2, width>(sums, layout, place, partials);
}

template <class T, bool with_slope>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_gradient_sums(const T* grad, const T* x, ChannelArrays arrays, ThreadLayout layout,
                           float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = kernels::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[3][width] = {};
  if (place.channel >= 0) {
    const Channels<width> channels = kernels::channels_of<width>(arrays, place.channel);
    kernels::add_gradient_sums<T, width, with_slope>(grad, x, channels, layout, place, sums[0],
                                                     sums[1], sums[2]);
  }
  store_block_sums<3, width>(sums, layout, place, partials);
}

template <class T, bool with_slope, bool with_extra>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_input_gradients(const T* grad, const T* x, const T* extra, ChannelArrays arrays,
                             BatchSums batch, ThreadLayout layout, T* grad_x) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = kernels::place_of<width>(layout, blockIdx.x, threadIdx.x);
  if (place.channel < 0) return;
  const Channels<width> channels = kernels::channels_of<width>(arrays, place.channel);
  float constant[width] = {};
  float factor[width] = {};
  if (batch.sums != nullptr) {
    const double count = batch.shared_count != nullptr ? *batch.shared_count : batch.count;
    DIFFPROB_UNROLL(8)
    for (int i = 0; i < width; ++i) {
      const int c = place.channel + i;
      const double scale = arrays.inverse[c] *
                           (arrays.weight != nullptr ? static_cast<double>(arrays.weight[c]) : 1.0);
      // The sums were taken with the rounded mean.
      const double sum = batch.sums[c];
      const double product = batch.sums[layout.channels + c] +
                             (static_cast<double>(channels.mean[i]) - arrays.mean[c]) * sum;
      const auto terms =
          kernels::statistics_gradient(sum, product, scale, arrays.inverse[c], count);
      constant[i] = terms.constant;
      factor[i] = terms.factor;
    }
  }
  kernels::input_gradients<T, width, with_slope, with_extra>(grad, x, extra, channels, constant,
                                                             factor, layout, place, grad_x);
}

/// Sums over blocks of the quantities of one channel, in float64 and always in the same order;
/// whole in the threads with threadIdx.y == 0.
template <int kQuantities>
__device__ void sum_partials(const float* partials, int blocks, int channels, int channel,
                             double (&sums)[kQuantities]) {
  __shared__ double shared[kQuantities][kFinishWarps][kFinishChannels];
  for (double& sum : sums) sum = 0;
  if (channel < channels) {
#pragma unroll 4
    for (int b = threadIdx.y; b < blocks; b += kFinishParts) {
#pragma unroll
      for (int q = 0; q < kQuantities; ++q) {
        sums[q] += static_cast<double>(
            partials[(static_cast<std::int64_t>(b) * kQuantities + q) * channels + channel]);
      }
    }
  }
  const int thread = threadIdx.y * kFinishChannels + threadIdx.x;
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) {
    // A warp holds four parts of each channel.
    sums[q] += __shfl_xor_sync(0xffffffffu, sums[q], 8);
    sums[q] += __shfl_xor_sync(0xffffffffu, sums[q], 16);
    if (thread % 32 < kFinishChannels) shared[q][thread / 32][threadIdx.x] = sums[q];
  }
  __syncthreads();
  if (threadIdx.y != 0) return;
#pragma unroll
  for (int q = 0; q < kQuantities; ++q) {
    double total = 0;
    for (int w = 0; w < kFinishWarps; ++w) total += shared[q][w][threadIdx.x];
    sums[q] = total;
  }
}

template <class T>
__global__ void diffprob_finish_moments(const T* x, const float* partials, int blocks,
                                        std::int64_t rows, int channels, Statistics out) {
  const int c = blockIdx.x * kFinishChannels + threadIdx.x;
  double sums[2];
  sum_partials(partials, blocks, channels, c, sums);
  if (threadIdx.y != 0 || c >= channels) return;
  const double count = static_cast<double>(rows);
  const auto moments = kernels::moments_of_sums(
      sums[0], sums[1], static_cast<double>(static_cast<float>(x[c])), count);
  out.mean[c] = moments.mean;
  if (out.squares != nullptr) {
    out.squares[c] = moments.squares;
    return;
  }
  const double variance = moments.squares / count;
  out.inverse[c] = 1.0 / sqrt(variance + out.eps);
  if (out.running_mean != nullptr) {
    const double unbiased = variance * (count / (count - 1));
    out.running_mean[c] =
        static_cast<float>((1 - out.momentum) * out.running_mean[c] + out.momentum * moments.mean);
    out.running_var[c] =
        static_cast<float>((1 - out.momentum) * out.running_var[c] + out.momentum * unbiased);
  }
  if (out.num_batches != nullptr && c == 0) *out.num_batches += 1;
}

__global__ void diffprob_finish_gradient_sums(const float* partials, int blocks, int channels,
                                              ChannelArrays arrays, double* sums,
                                              ParameterGradients gradients) {
  const int c = blockIdx.x * kFinishChannels + threadIdx.x;
  double found[3];
  sum_partials(partials, blocks, channels, c, found);
  if (threadIdx.y != 0 || c >= channels) return;
  const double sum = found[0], product = found[1], slope = found[2];
  sums[c] = sum;
  sums[channels + c] = product;
  sums[2 * channels + c] = slope;
  const double rounding =
      (static_cast<double>(static_cast<float>(arrays.mean[c])) - arrays.mean[c]) * sum;
  if (gradients.weight != nullptr)
    gradients.weight[c] = static_cast<float>((product + rounding) * arrays.inverse[c]);
  if (gradients.bias != nullptr) gradients.bias[c] = static_cast<float>(sum);
  if (gradients.slope != nullptr) gradients.slope[c] = static_cast<float>(slope);
}

/// Calls body(T{}, the kernel as a compile-time constant).
template <class Body>
void with_normalize_kernel(Number type, const NormalizeParts& parts, const Body& body) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    with_constants(parts.slope, parts.residual, [&](auto slope, auto residual) {
      constexpr auto plain = diffprob_normalize<T, slope.value, residual.value, false>;
      constexpr auto summing = diffprob_normalize<T, slope.value, residual.value, true>;
      parts.moments ? body(zero, std::integral_constant<decltype(summing), summing>{})
                    : body(zero, std::integral_constant<decltype(plain), plain>{});
    });
  });
}

std::size_t shared_bytes(const ThreadLayout& layout) {
  return sizeof(float) * static_cast<std::size_t>(layout.rows_at_once) *
         static_cast<std::size_t>(layout.channels);
}

unsigned finish_blocks(const Rows& rows) {
  return static_cast<unsigned>((rows.channels + kFinishChannels - 1) / kFinishChannels);
}

}  // namespace

bool is_supported(const Rows& rows) {
  const int width = width_of(rows.type);
  return rows.count > 0 && rows.channels % width == 0 && rows.channels / width <= kThreads;
}

int moment_blocks(const Rows& rows, int multiprocessors) {
  return blocks_for(rows, multiprocessors * kMomentBlocks);
}

int gradient_blocks(const Rows& rows, int multiprocessors) {
  return blocks_for(rows, multiprocessors * kGradientBlocks);
}

void add_moments(const Rows& rows, const void* x, float* partials, int blocks,
                 CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_moments<T><<<blocks, kThreads, shared_bytes(layout), stream>>>(
        static_cast<const T*>(x), layout, partials);
  });
  check_launch("moments");
}

void finish_moments(const Rows& rows, const void* x, const float* partials, int blocks,
                    const Statistics& statistics, CUstream_st* stream) {
  const dim3 threads(kFinishChannels, kFinishParts);
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_finish_moments<T><<<finish_blocks(rows), threads, 0, stream>>>(
        static_cast<const T*>(x), partials, blocks, rows.count, rows.channels, statistics);
  });
  check_launch("statistics");
}

int normalize_blocks(const Rows& rows, const NormalizeParts& parts, int multiprocessors) {
  int blocks = 0;
  with_normalize_kernel(rows.type, parts, [&](auto, auto kernel) {
    blocks = blocks_for(rows, multiprocessors * resident_blocks<kernel.value>());
  });
  return blocks;
}

void normalize(const Rows& rows, const void* x, const void* residual, const ChannelArrays& channels,
               void* y, float* partials, int blocks, CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  const NormalizeParts parts = {channels.slope != nullptr, residual != nullptr,
                                partials != nullptr};
  with_normalize_kernel(rows.type, parts, [&](auto zero, auto kernel) {
    using T = decltype(zero);
    kernel.value<<<blocks, kThreads, partials != nullptr ? shared_bytes(layout) : 0, stream>>>(
        static_cast<const T*>(x), static_cast<const T*>(residual), channels, layout,
        static_cast<T*>(y), partials);
  });
  check_launch("normalisation");
}

void add_gradient_sums(const Rows& rows, const void* grad, const void* x,
                       const ChannelArrays& channels, float* partials, int blocks,
                       CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    const auto launch = [&](auto kernel) {
      kernel<<<blocks, kThreads, shared_bytes(layout), stream>>>(
          static_cast<const T*>(grad), static_cast<const T*>(x), channels, layout, partials);
    };
    channels.slope != nullptr ? launch(diffprob_gradient_sums<T, true>)
                              : launch(diffprob_gradient_sums<T, false>);
  });
  check_launch("gradient sums");
}

void finish_gradient_sums(const Rows& rows, const float* partials, int blocks,
                          const ChannelArrays& channels, double* sums,
                          const ParameterGradients& gradients, CUstream_st* stream) {
  const dim3 threads(kFinishChannels, kFinishParts);
  diffprob_finish_gradient_sums<<<finish_blocks(rows), threads, 0, stream>>>(
      partials, blocks, rows.channels, channels, sums, gradients);
  check_launch("gradients of the parameters");
}

void input_gradients(const Rows& rows, const void* grad, const void* x, const void* extra,
                     const ChannelArrays& channels, const BatchSums& batch, void* grad_x,
                     int multiprocessors, CUstream_st* stream) {
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    with_constants(channels.slope != nullptr, extra != nullptr, [&](auto slope, auto add) {
      constexpr auto kernel = diffprob_input_gradients<T, slope.value, add.value>;
      const int blocks = blocks_for(rows, multiprocessors * resident_blocks<kernel>());
      kernel<<<blocks, kThreads, 0, stream>>>(static_cast<const T*>(grad), static_cast<const T*>(x),
                                              static_cast<const T*>(extra), channels, batch,
                                              layout_of(rows, blocks), static_cast<T*>(grad_x));
    });
  });
  check_launch("input gradients");
}

}  // namespace diffprob::model::gpu
