#pragma once

// Stands in for CUDA's header where as_host_code.py has made C++ of a .cu: what its kernels and
// launches use, by simt.h.

#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/support/simt/simt.h"

#define __global__
#define __device__
#define __launch_bounds__(...)

#define threadIdx (diffprob::tests::simt::thread_index)
#define blockIdx (diffprob::tests::simt::block_index)
#define gridDim (diffprob::tests::simt::grid_size)
#define blockDim (diffprob::tests::simt::block_size)
using dim3 = diffprob::tests::simt::Dim3;

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) ushort4 {
  unsigned short x, y, z, w;
};

inline float __uint_as_float(unsigned bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
inline void __syncthreads() {
  diffprob::tests::simt::block.wait_for_block();
}
template <class T>
T __shfl_sync(unsigned /*mask*/, T value, unsigned from) {
  return diffprob::tests::simt::block.shuffle(value, from);
}
template <class T>
T __shfl_xor_sync(unsigned /*mask*/, T value, unsigned mask) {
  auto& block = diffprob::tests::simt::block;
  return block.shuffle(value, block.lane() ^ mask);
}

enum cudaError_t { cudaSuccess = 0 };
inline cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
inline const char* cudaGetErrorString(cudaError_t /*state*/) {
  return "";
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel /*kernel*/,
                                                          int /*threads*/, std::size_t /*shared*/) {
  *blocks = 2;
  return cudaSuccess;
}
