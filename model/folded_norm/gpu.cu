#include "model/folded_norm/gpu.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "model/batch_norm/gpu_blocks.h"

namespace diffprob::model::gpu {
namespace {

using thread::kBorderCodes;
using thread::kSideSums;
using thread::kTaps;
using thread::Pictures;
using thread::Side;

constexpr int kWarp = 32;
constexpr int kSides = static_cast<int>(Side::kSides);
/// Most blocks that sum up one side.
constexpr int kMostSideBlocks = 64;
constexpr int kWeightWidth = 4;       // numbers per thread of weight_gradients
constexpr int kMostWeightBlocks = 2;  // per multiprocessor

/// One block an output channel, one warp a tap.
template <class T>
__global__ void __launch_bounds__(kWarp* kTaps)
    diffprob_fold(FoldWeight from, ChannelArrays norm, T* folded, float* border, float* constant) {
  __shared__ float taps[kTaps];
  const int output = blockIdx.x, tap = threadIdx.y;
  const std::int64_t row = (static_cast<std::int64_t>(output) * kTaps + tap) * from.channels;
  float sum =
      thread::fold_row<T>(from.weight + row, norm, from.channels, threadIdx.x, kWarp, folded + row);
  for (int away = kWarp / 2; away > 0; away /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, away);
  if (threadIdx.x == 0) taps[tap] = sum;
  __syncthreads();
  const int thread = tap * kWarp + static_cast<int>(threadIdx.x);
  if (thread < kBorderCodes)
    border[thread * from.outputs + output] = thread::border_term(taps, thread);
  if (thread == kBorderCodes) {
    float all = 0;
    for (const float of_tap : taps) all += of_tap;
    constant[output] = all;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_add_border(const float* border, Pictures pictures, std::int64_t items, T* y) {
  const std::int64_t item = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (item < items) thread::add_border<T, kWidth<T>>(border, pictures, item, y);
}

std::int64_t rows_of_side(const Pictures& pictures, Side side) {
  return pictures.count * thread::pixels_of_side(pictures, side);
}

/// blockIdx.y is the side.
template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_side_sums(const T* grad, Pictures pictures, ThreadLayout layout, float* partials) {
  constexpr int width = kWidth<T>;
  const auto side = static_cast<Side>(blockIdx.y);
  layout.rows = pictures.count * thread::pixels_of_side(pictures, side);
  const ThreadPlace place = thread::place_of<width>(layout, blockIdx.x, threadIdx.x);
  float sums[kSideSums][width] = {};
  if (place.channel >= 0) thread::add_side<T, width>(grad, pictures, side, place, sums);
  store_block_sums<kSideSums, width>(sums, layout, place,
                                     partials + static_cast<std::int64_t>(blockIdx.y) *
                                                    layout.blocks * kSideSums * layout.channels);
}

/// One warp a channel: a quarter of it adds the blocks of one side.
__global__ void __launch_bounds__(kThreads)
    diffprob_finish_side_sums(const float* partials, int blocks, int channels, float* inside) {
  constexpr int kParts = kWarp / kSides;
  const int channel = blockIdx.x * (kThreads / kWarp) + static_cast<int>(threadIdx.x) / kWarp;
  const int lane = threadIdx.x % kWarp, side = lane / kParts;
  double sums[kSideSums] = {};
  if (channel < channels) {
    for (int b = lane % kParts; b < blocks; b += kParts) {
      const std::int64_t first =
          (static_cast<std::int64_t>(side) * blocks + b) * kSideSums * channels + channel;
      for (int q = 0; q < kSideSums; ++q)
        sums[q] += static_cast<double>(partials[first + static_cast<std::int64_t>(q) * channels]);
    }
  }
  for (double& sum : sums) {
    for (int away = kParts / 2; away > 0; away /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, away);
  }
  const auto of_side = [&](Side which) {
    const int from = static_cast<int>(which) * kParts;
    return thread::SideSums{__shfl_sync(0xffffffffu, sums[thread::kAll], from),
                            __shfl_sync(0xffffffffu, sums[thread::kFirst], from),
                            __shfl_sync(0xffffffffu, sums[thread::kLast], from)};
  };
  const auto top = of_side(Side::kTop), bottom = of_side(Side::kBottom),
             left = of_side(Side::kLeft), right = of_side(Side::kRight);
  if (channel < channels && lane < kTaps)
    inside[static_cast<std::int64_t>(channel) * kTaps + lane] =
        thread::sum_inside(top, bottom, left, right, lane);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_weight_gradients(const float* weight, const T* with_x, const float* inside,
                              ChannelArrays norm, ThreadLayout layout, float* gradient,
                              float* partials) {
  const ThreadPlace place = thread::place_of<kWeightWidth>(layout, blockIdx.x, threadIdx.x);
  float sums[2][kWeightWidth] = {};
  if (place.channel >= 0) {
    const auto channels = thread::folded_channels<kWeightWidth>(norm, place.channel);
    thread::weight_gradients<T, kWeightWidth>(weight, with_x, inside, channels, place, gradient,
                                              sums);
  }
  store_block_sums<2, kWeightWidth>(sums, layout, place, partials);
}

std::int64_t rows_of(const FoldWeight& weight) {
  return static_cast<std::int64_t>(weight.outputs) * kTaps;
}

}  // namespace

void fold(const FoldWeight& from, const ChannelArrays& norm, Number type, void* folded,
          float* border, float* constant, CUstream_st* stream) {
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_fold<T><<<from.outputs, dim3(kWarp, kTaps), 0, stream>>>(
        from, norm, static_cast<T*>(folded), border, constant);
  });
  check_launch("folded weights");
}

void add_border(const Pictures& pictures, Number type, const float* border, void* y,
                CUstream_st* stream) {
  const std::int64_t items =
      pictures.count * thread::border_pixels(pictures) * (pictures.channels / width_of(type));
  const auto blocks = static_cast<unsigned>((items + kThreads - 1) / kThreads);
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_add_border<T>
        <<<blocks, kThreads, 0, stream>>>(border, pictures, items, static_cast<T*>(y));
  });
  check_launch("borders");
}

int side_blocks(const Pictures& pictures, Number type, int multiprocessors) {
  const std::int64_t rows =
      std::max(rows_of_side(pictures, Side::kTop), rows_of_side(pictures, Side::kLeft));
  return blocks_for(rows, pictures.channels / width_of(type),
                    std::min(kMostSideBlocks, multiprocessors));
}

void sums_inside(const Pictures& pictures, Number type, const void* grad, float* partials,
                 int blocks, float* inside, CUstream_st* stream) {
  const ThreadLayout layout =
      layout_of(/*rows=*/0, pictures.channels, pictures.channels / width_of(type), blocks);
  with_type(type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_side_sums<T><<<dim3(blocks, kSides), kThreads, shared_bytes(layout), stream>>>(
        static_cast<const T*>(grad), pictures, layout, partials);
  });
  check_launch("sums of borders");
  constexpr int kChannels = kThreads / kWarp;
  diffprob_finish_side_sums<<<(pictures.channels + kChannels - 1) / kChannels, kThreads, 0,
                              stream>>>(partials, blocks, pictures.channels, inside);
  check_launch("sums inside of borders");
}

int weight_gradient_blocks(const FoldWeight& weight, int multiprocessors) {
  return blocks_for(rows_of(weight), weight.channels / kWeightWidth,
                    multiprocessors * kMostWeightBlocks);
}

void weight_gradients(const FoldWeight& weight, const FoldedProducts& products,
                      const ChannelArrays& norm, float* gradient, float* partials, int blocks,
                      CUstream_st* stream) {
  const ThreadLayout layout =
      layout_of(rows_of(weight), weight.channels, weight.channels / kWeightWidth, blocks);
  with_type(products.type, [&](auto zero) {
    using T = decltype(zero);
    diffprob_weight_gradients<T><<<blocks, kThreads, shared_bytes(layout), stream>>>(
        weight.weight, static_cast<const T*>(products.with_x), products.inside, norm, layout,
        gradient, partials);
  });
  check_launch("gradients of folded weights");
}

}  // namespace diffprob::model::gpu
