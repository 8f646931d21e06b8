// What runs kernels on the host, itself: barriers, shuffles, and threads that would wait for ever.
#include "tests/support/simt/cuda_runtime.h"

#include <gtest/gtest.h>

#include <numeric>

namespace diffprob::tests {
namespace {

using simt::Launch;

__global__ void reverse(const int* from, int* to) {
  auto* shared = reinterpret_cast<int*>(simt::shared_memory.data());
  const unsigned last = blockDim.x - 1;
  shared[threadIdx.x] = from[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  to[blockIdx.x * blockDim.x + threadIdx.x] = shared[last - threadIdx.x];
}

TEST(Simt, ThreadsOfABlockWaitForEachOther) {
  std::vector<int> from(3 * 100), to(from.size(), -1), wanted = from;
  std::iota(from.begin(), from.end(), 0);
  for (std::size_t i = 0; i < from.size(); ++i)
    wanted[i] = static_cast<int>(i / 100 * 100 + 99 - i % 100);
  simt::kernel(reverse, Launch(3, 100))(from.data(), to.data());
  EXPECT_EQ(to, wanted);
}

__global__ void sum_of_warp(double* sums) {
  double sum = threadIdx.x + 1;
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  const double first = __shfl_sync(0xffffffffu, threadIdx.x == 3 ? 7.0 : 0.0, 3);
  if (threadIdx.x % 32 == 0) sums[threadIdx.y * 2 + threadIdx.x / 32] = sum + first;
}

TEST(Simt, LanesOfAWarpShareNumbers) {
  std::vector<double> sums(4);
  simt::kernel(sum_of_warp, Launch(1, dim3(64, 2)))(sums.data());
  EXPECT_EQ(sums, (std::vector<double>{528 + 7, 1552, 528 + 7, 1552}));
}

__global__ void ends_early(int* reached) {
  if (threadIdx.x >= 32) return;
  __syncthreads();  // for those that are left
  ++*reached;
}

TEST(Simt, ThreadsThatHaveEndedAreNotWaitedFor) {
  int reached = 0;
  simt::kernel(ends_early, Launch(2, 96))(&reached);
  EXPECT_EQ(reached, 64);
}

__global__ void shuffles_without_all(float* out) {
  if (threadIdx.x == 5) return;
  out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
}

__global__ void waits_for_ever(int* out) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    *out = __shfl_sync(0xffffffffu, 1, 0);
    if (threadIdx.x == 40) *out = __shfl_sync(0xffffffffu, 1, 0);
    __syncthreads();
  }
}

TEST(Simt, WhatNoGpuPromisesIsAnError) {
  std::vector<float> out(32);
  int number = 0;
  EXPECT_THROW(simt::kernel(shuffles_without_all, Launch(1, 32))(out.data()), std::runtime_error);
  EXPECT_THROW(simt::kernel(waits_for_ever, Launch(1, 64))(&number), std::runtime_error);
  EXPECT_THROW(simt::kernel(ends_early, Launch(0, 32))(&number), std::runtime_error);
  EXPECT_THROW(simt::kernel(ends_early, Launch(dim3(1, 70000), 32))(&number), std::runtime_error);
  EXPECT_THROW(simt::kernel(ends_early, Launch(1, 2048))(&number), std::runtime_error);
  EXPECT_THROW(simt::kernel(ends_early, Launch(1, 32, 1 << 20))(&number), std::runtime_error);
}

}  // namespace
}  // namespace diffprob::tests
