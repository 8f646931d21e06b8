#pragma once

#include <cstdint>

/// Types that the launches of several rooms share. They include nothing of LibTorch, so that nvcc
/// compiles the kernels in seconds.
struct CUstream_st;

namespace diffprob::model::gpu {

/// Type of the numbers in device memory that a kernel reads and writes.
enum class Number { kFloat, kHalf, kBFloat16 };

/// Shape of a batch in device memory: count x channels, the channels of a row next to each other.
struct Rows {
  Number type;
  std::int64_t count;
  int channels;
};

}  // namespace diffprob::model::gpu
