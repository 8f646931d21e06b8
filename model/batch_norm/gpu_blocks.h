#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "model/batch_norm/threads.h"
#include "model/kernels/gpu_rows.h"

/// What kernels over rows x channels have in common, for nvcc alone: how rows are dealt to blocks,
/// and how the sums of a block are added.
namespace diffprob::model::gpu {

using thread::ThreadLayout;
using thread::ThreadPlace;

constexpr int kThreads = 256;
/// A thread gets at least so many rows: the start and the end of a block are then small beside its
/// work.
constexpr int kRowsPerThread = 8;
/// Numbers per thread: 16 bytes, the widest load of a GPU.
template <class T>
constexpr int kWidth = 16 / sizeof(T);

inline int width_of(Number type) {
  return type == Number::kFloat ? 4 : 8;
}

/// For `lanes` threads a row.
inline ThreadLayout layout_of(std::int64_t rows, int channels, int lanes, int blocks) {
  return {rows, channels, lanes, kThreads / lanes, blocks};
}
inline ThreadLayout layout_of(const Rows& rows, int blocks) {
  return layout_of(rows.count, rows.channels, rows.channels / width_of(rows.type), blocks);
}

inline int blocks_for(std::int64_t rows, int lanes, int most) {
  const std::int64_t rows_at_once = kThreads / lanes;
  const std::int64_t wanted =
      (rows + rows_at_once * kRowsPerThread - 1) / (rows_at_once * kRowsPerThread);
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 1, most));
}
inline int blocks_for(const Rows& rows, int most) {
  return blocks_for(rows.count, rows.channels / width_of(rows.type), most);
}

/// Shared memory of store_block_sums().
inline std::size_t shared_bytes(const ThreadLayout& layout) {
  return sizeof(float) * static_cast<std::size_t>(layout.rows_at_once) *
         static_cast<std::size_t>(layout.channels);
}

inline void check_launch(const char* name) {
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

/// Adds up the sums of a block's threads that share channels, through shared memory and in the
/// order of the rows of threads: without atomics, so that every run gives the same bits. One
/// quantity after the other, so that shared memory holds only [rows_at_once][channels].
template <int kQuantities, int width>
__device__ void store_block_sums(float (&sums)[kQuantities][width], const ThreadLayout& layout,
                                 const ThreadPlace& place, float* partials) {
  extern __shared__ float shared[];
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
    // The next quantity is written where this one is read.
    __syncthreads();
  }
}

}  // namespace diffprob::model::gpu
