#include "model/batch_norm/gpu.h"

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "model/batch_norm/gpu_blocks.h"

namespace diffprob::model::gpu {
namespace {

using thread::Channels;

/// Most blocks per multiprocessor that sum up rows: as many as it runs at a time. More would only
/// leave more partial sums for the finishing kernels to add.
constexpr int kMomentBlocks = 4;
constexpr int kGradientBlocks = 3;
/// Blocks per multiprocessor that the registers of every kernel allow (__launch_bounds__).
constexpr int kLeastResident = 2;
constexpr int kFinishChannels = 8;  // channels per block of the finishing kernels
constexpr int kFinishParts = 32;    // threads that share the partial sums of one channel
constexpr int kFinishWarps = kFinishChannels * kFinishParts / 32;

/// Returns how many blocks of a kernel a multiprocessor runs at a time. A grid of just that size is
/// one wave: no block waits for another to end.
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

/// Calls body with both as compile-time constants.
template <class Body>
void with_constants(bool first, bool second, const Body& body) {
  if (first) {
    second ? body(std::true_type{}, std::true_type{}) : body(std::true_type{}, std::false_type{});
  } else {
    second ? body(std::false_type{}, std::true_type{}) : body(std::false_type{}, std::false_type{});
  }
}

/// Arrays with the type that a kernel is compiled for.
template <class T>
struct TypedArrays {
  explicit TypedArrays(const Arrays& from)
      : x(static_cast<const T*>(from.x)),
        grad(static_cast<const T*>(from.grad)),
        residual(static_cast<const T*>(from.residual)),
        out(static_cast<T*>(from.out)) {}
  const T* x;
  const T* grad;
  const T* residual;
  T* out;
};

// Threads without a place do not return early from a kernel that ends in store_block_sums():
// __syncthreads() there waits for every thread of the block.

template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_moments(const T* x, ThreadLayout layout, float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = thread::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[2][width] = {};
  if (place.channel >= 0) thread::add_shifted_moments<T, width>(x, place, sums);
  store_block_sums<2, width>(sums, layout, place, partials);
}

template <class T, bool with_slope, bool with_residual, bool with_moments>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_normalize(TypedArrays<T> arrays, ChannelArrays parameters, ThreadLayout layout,
                       float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = thread::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[2][width] = {};
  if (place.channel >= 0) {
    const Channels<width> channels = thread::channels_of<width>(parameters, place.channel);
    thread::normalize<T, width, with_slope, with_residual, with_moments>(
        arrays.x, arrays.residual, channels, place, arrays.out, sums);
  }
  if constexpr (with_moments) store_block_sums<2, width>(sums, layout, place, partials);
}

template <class T, bool with_slope>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_gradient_sums(TypedArrays<T> arrays, ChannelArrays parameters, ThreadLayout layout,
                           float* partials) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = thread::place_of<width>(layout, blockIdx.x, threadIdx.x);
  constexpr int quantities = thread::gradient_quantities(with_slope);
  float sums[quantities][width] = {};
  if (place.channel >= 0) {
    const Channels<width> channels = thread::channels_of<width>(parameters, place.channel);
    thread::add_gradient_sums<T, width, with_slope>(arrays.grad, arrays.x, channels, place, sums);
  }
  store_block_sums<quantities, width>(sums, layout, place, partials);
}

/// Fills in what the gradient of x gets from statistics that depend on x.
template <int width>
__device__ void add_statistics_terms(const ChannelArrays& parameters, const BatchSums& batch,
                                     int all_channels, const ThreadPlace& place,
                                     Channels<width>& channels) {
  if (batch.sums == nullptr) return;
  const double count = batch.shared_count != nullptr ? *batch.shared_count : batch.count;
  DIFFPROB_UNROLL(8)
  for (int i = 0; i < width; ++i) {
    const int c = place.channel + i;
    const double scale =
        parameters.inv_std[c] *
        (parameters.weight != nullptr ? static_cast<double>(parameters.weight[c]) : 1.0);
    // The sums were taken with the mean rounded to float32; this makes them those of the mean.
    const double sum = batch.sums[c];
    const double product = batch.sums[all_channels + c] +
                           (static_cast<double>(channels.mean[i]) - parameters.mean[c]) * sum;
    const auto terms =
        thread::statistics_gradient(sum, product, scale, parameters.inv_std[c], count);
    channels.constant[i] = terms.constant;
    channels.factor[i] = terms.factor;
  }
}

template <class T, bool with_slope, bool with_residual, bool with_before>
__global__ void __launch_bounds__(kThreads, kLeastResident)
    diffprob_input_gradients(TypedArrays<T> arrays, ChannelArrays parameters, BatchSums batch,
                             BeforeArrays before, ThreadLayout layout) {
  constexpr int width = kWidth<T>;
  const ThreadPlace place = thread::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[2][width] = {};
  if (place.channel >= 0) {
    Channels<width> channels = thread::channels_of<width>(parameters, place.channel);
    add_statistics_terms<width>(parameters, batch, layout.channels, place, channels);
    thread::LayerBefore<T, width> layer{static_cast<const T*>(before.x), {}};
    if constexpr (with_before) {
      DIFFPROB_UNROLL(8)
      for (int i = 0; i < width; ++i)
        layer.mean[i] = static_cast<float>(before.mean[place.channel + i]);
    }
    thread::input_gradients<T, width, with_slope, with_residual, with_before>(
        arrays.grad, arrays.x, arrays.residual, channels, place, arrays.out, layer, sums);
  }
  if constexpr (with_before) store_block_sums<2, width>(sums, layout, place, before.partials);
}

/// Adds up the partial sums of one channel over the blocks, in float64 and always in the same
/// order. Only threads with threadIdx.y == 0 get the complete sums.
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
                                        std::int64_t rows, int channels, MomentOutputs out) {
  const int c = blockIdx.x * kFinishChannels + threadIdx.x;
  double sums[2];
  sum_partials(partials, blocks, channels, c, sums);
  if (threadIdx.y != 0 || c >= channels) return;
  const double count = static_cast<double>(rows);
  const auto moments = thread::moments_of_sums(
      sums[0], sums[1], static_cast<double>(static_cast<float>(x[c])), count);
  out.mean[c] = moments.mean;
  if (out.m2 != nullptr) {
    out.m2[c] = moments.m2;
    return;
  }
  const double variance = moments.m2 / count;
  out.inv_std[c] = 1.0 / sqrt(variance + out.eps);
  if (out.running_mean != nullptr) {
    const double unbiased = variance * (count / (count - 1));
    const double mean =
        out.lacks != nullptr ? moments.mean + static_cast<double>(out.lacks[c]) : moments.mean;
    out.running_mean[c] =
        static_cast<float>((1 - out.momentum) * out.running_mean[c] + out.momentum * mean);
    out.running_var[c] =
        static_cast<float>((1 - out.momentum) * out.running_var[c] + out.momentum * unbiased);
  }
  if (out.num_batches != nullptr && c == 0) *out.num_batches += 1;
}

template <bool with_slope>
__global__ void diffprob_finish_gradient_sums(const float* partials, int blocks, int channels,
                                              ChannelArrays parameters, GradientOutputs out) {
  const int c = blockIdx.x * kFinishChannels + threadIdx.x;
  double found[thread::gradient_quantities(with_slope)];
  sum_partials(partials, blocks, channels, c, found);
  if (threadIdx.y != 0 || c >= channels) return;
  const double sum = found[0], product = found[1];
  out.sums[c] = sum;
  out.sums[channels + c] = product;
  // The products were taken with the mean rounded to float32; input_gradients() corrects them
  // again, for the sums over all ranks.
  const double rounding =
      (static_cast<double>(static_cast<float>(parameters.mean[c])) - parameters.mean[c]) * sum;
  if (out.weight != nullptr)
    out.weight[c] = static_cast<float>((product + rounding) * parameters.inv_std[c]);
  if (out.bias != nullptr) out.bias[c] = static_cast<float>(sum);
  if constexpr (with_slope) out.slope[c] = static_cast<float>(found[2]);
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

template <class Body>
void with_input_gradient_kernel(Number type, const InputGradientParts& parts, const Body& body) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    with_constants(parts.slope, parts.residual, [&](auto slope, auto residual) {
      constexpr auto plain = diffprob_input_gradients<T, slope.value, residual.value, false>;
      constexpr auto summing = diffprob_input_gradients<T, false, residual.value, true>;
      parts.before ? body(zero, std::integral_constant<decltype(summing), summing>{})
                   : body(zero, std::integral_constant<decltype(plain), plain>{});
    });
  });
}

unsigned finish_blocks(int channels) {
  return static_cast<unsigned>((channels + kFinishChannels - 1) / kFinishChannels);
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

void sum_shifted_moments(const Rows& rows, const void* x, float* partials, int blocks,
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
                    const MomentOutputs& outputs, CUstream_st* stream) {
  const dim3 threads(kFinishChannels, kFinishParts);
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_finish_moments<T><<<finish_blocks(rows.channels), threads, 0, stream>>>(
        static_cast<const T*>(x), partials, blocks, rows.count, rows.channels, outputs);
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

void normalize(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
               float* partials, int blocks, CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  const NormalizeParts parts = {channels.slope != nullptr, arrays.residual != nullptr,
                                partials != nullptr};
  with_normalize_kernel(rows.type, parts, [&](auto zero, auto kernel) {
    using T = decltype(zero);
    kernel.value<<<blocks, kThreads, partials != nullptr ? shared_bytes(layout) : 0, stream>>>(
        TypedArrays<T>(arrays), channels, layout, partials);
  });
  check_launch("normalisation");
}

void sum_gradients(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
                   float* partials, int blocks, CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  with_type(rows.type, [&](auto zero) {
    using T = decltype(zero);
    const auto launch = [&](auto kernel) {
      kernel<<<blocks, kThreads, shared_bytes(layout), stream>>>(TypedArrays<T>(arrays), channels,
                                                                 layout, partials);
    };
    channels.slope != nullptr ? launch(diffprob_gradient_sums<T, true>)
                              : launch(diffprob_gradient_sums<T, false>);
  });
  check_launch("gradient sums");
}

void finish_gradient_sums(int channels, const float* partials, int blocks,
                          const ChannelArrays& parameters, const GradientOutputs& outputs,
                          CUstream_st* stream) {
  const dim3 threads(kFinishChannels, kFinishParts);
  const auto launch = [&](auto kernel) {
    kernel<<<finish_blocks(channels), threads, 0, stream>>>(partials, blocks, channels, parameters,
                                                            outputs);
  };
  parameters.slope != nullptr ? launch(diffprob_finish_gradient_sums<true>)
                              : launch(diffprob_finish_gradient_sums<false>);
  check_launch("gradients of the parameters");
}

int input_gradient_blocks(const Rows& rows, const InputGradientParts& parts, int multiprocessors) {
  int blocks = 0;
  with_input_gradient_kernel(rows.type, parts, [&](auto, auto kernel) {
    blocks = blocks_for(rows, multiprocessors * resident_blocks<kernel.value>());
  });
  return blocks;
}

void input_gradients(const Rows& rows, const Arrays& arrays, const ChannelArrays& channels,
                     const BatchSums& batch, const BeforeArrays& before, int blocks,
                     CUstream_st* stream) {
  const ThreadLayout layout = layout_of(rows, blocks);
  const InputGradientParts parts = {channels.slope != nullptr, arrays.residual != nullptr,
                                    before.x != nullptr};
  with_input_gradient_kernel(rows.type, parts, [&](auto zero, auto kernel) {
    using T = decltype(zero);
    kernel.value<<<blocks, kThreads, parts.before ? shared_bytes(layout) : 0, stream>>>(
        TypedArrays<T>(arrays), channels, batch, before, layout);
  });
  check_launch("input gradients");
}

}  // namespace diffprob::model::gpu
