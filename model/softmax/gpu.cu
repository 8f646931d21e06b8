#include "model/softmax/gpu.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace diffprob::model::gpu {
namespace {

constexpr int kThreads = 128;  // columns of a block in the softmax kernels
constexpr int kWarp = 32;
constexpr int kWarps = 8;  // class rows of a block in the update
constexpr float kLowest = -__builtin_huge_valf();

void check_launch(const char* name) {
  if (const cudaError_t state = cudaGetLastError(); state != cudaSuccess) {
    throw std::runtime_error(std::string("head on the GPU: ") + name + ": " +
                             cudaGetErrorString(state));
  }
}

/// Classes first .. last - 1 of the part blockIdx.y.
struct Part {
  std::int64_t first;
  std::int64_t last;
};
__device__ Part part_of(std::int64_t classes) {
  return {classes * blockIdx.y / gridDim.y, classes * (blockIdx.y + 1) / gridDim.y};
}

__global__ void __launch_bounds__(kThreads)
    diffprob_non_target_maxima(Products products, float* below, float* above) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= products.rows) return;
  const std::int64_t target = products.target[column] - products.begin;
  const bool is_local = products.target_is_local[column];
  const Part part = part_of(products.classes);
  float largest_below = kLowest;
  float largest_above = kLowest;
#pragma unroll 8
  for (std::int64_t c = part.first; c < part.last; ++c) {
    const float cosine = thread::cosine_of_product(products.values[c * products.rows + column],
                                                   products.inverse_norms[c]);
    const auto side = thread::side_of(c, target, is_local);
    if (side == thread::Side::kBelow)
      largest_below = cosine > largest_below ? cosine : largest_below;
    if (side == thread::Side::kAbove)
      largest_above = cosine > largest_above ? cosine : largest_above;
  }
  below[static_cast<std::int64_t>(blockIdx.y) * products.rows + column] = largest_below;
  above[static_cast<std::int64_t>(blockIdx.y) * products.rows + column] = largest_above;
}

__global__ void __launch_bounds__(kThreads)
    diffprob_exponentials(Products products, float scale, const float* reference, float* sums) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= products.rows) return;
  const std::int64_t target = products.target[column] - products.begin;
  const bool is_local = products.target_is_local[column];
  const float top = reference[column];
  const Part part = part_of(products.classes);
  float sum = 0;
#pragma unroll 8
  for (std::int64_t c = part.first; c < part.last; ++c) {
    float* value = products.values + c * products.rows + column;
    const float inverse = products.inverse_norms[c];
    const float cosine = thread::cosine_of_product(*value, inverse);
    const bool is_target = thread::side_of(c, target, is_local) == thread::Side::kTarget;
    const float e = is_target ? 0.0f : thread::exponential_of_cosine(cosine, scale, top);
    sum += e;
    *value = e * inverse;
  }
  sums[static_cast<std::int64_t>(blockIdx.y) * products.rows + column] = sum;
}

/// Four numbers of a row, stored as float32 or bfloat16.
template <bool narrow>
__device__ float4 load4(const void* from, std::int64_t at) {
  if (!narrow) return *reinterpret_cast<const float4*>(static_cast<const float*>(from) + at);
  const ushort4 bits =
      *reinterpret_cast<const ushort4*>(static_cast<const std::uint16_t*>(from) + at);
  return {__uint_as_float(static_cast<unsigned>(bits.x) << 16),
          __uint_as_float(static_cast<unsigned>(bits.y) << 16),
          __uint_as_float(static_cast<unsigned>(bits.z) << 16),
          __uint_as_float(static_cast<unsigned>(bits.w) << 16)};
}
template <bool narrow>
__device__ void store4(void* to, std::int64_t at, float4 values, std::uint64_t base,
                       std::int64_t column) {
  if (!narrow) {
    *reinterpret_cast<float4*>(static_cast<float*>(to) + at) = values;
    return;
  }
  const ushort4 bits = {thread::stochastic_bfloat16(values.x, base, column),
                        thread::stochastic_bfloat16(values.y, base, column + 1),
                        thread::stochastic_bfloat16(values.z, base, column + 2),
                        thread::stochastic_bfloat16(values.w, base, column + 3)};
  *reinterpret_cast<ushort4*>(static_cast<std::uint16_t*>(to) + at) = bits;
}

/// A warp a row of the batch. Null when its class is on another rank.
__device__ bool target_row(const TargetRows& rows, std::int64_t* row, std::int64_t* shard_row) {
  *row = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (*row >= rows.rows || !rows.target_is_local[*row]) return false;
  const std::int64_t position = rows.target[*row];
  *shard_row = rows.classes != nullptr ? rows.classes[position] : position;
  return true;
}
__device__ float centre_number(const TargetRows& rows, std::int64_t at) {
  if (!rows.weight_is_bfloat16) return static_cast<const float*>(rows.weight)[at];
  return __uint_as_float(static_cast<unsigned>(static_cast<const std::uint16_t*>(rows.weight)[at])
                         << 16);
}

__global__ void __launch_bounds__(kWarp* kWarps)
    diffprob_target_cosines(TargetRows rows, const float* x, std::int64_t stride, double* cosine,
                            float* inverse_norms) {
  std::int64_t row = 0;
  std::int64_t shard_row = 0;
  if (!target_row(rows, &row, &shard_row)) return;
  double product = 0, centre_square = 0, embedding_square = 0;
  for (int d = threadIdx.x; d < rows.dim; d += kWarp) {
    const double c = centre_number(rows, shard_row * rows.dim + d);
    const double e = x[row * stride + d];
    product += c * e;
    centre_square += c * c;
    embedding_square += e * e;
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    product += __shfl_xor_sync(0xffffffffu, product, offset);
    centre_square += __shfl_xor_sync(0xffffffffu, centre_square, offset);
    embedding_square += __shfl_xor_sync(0xffffffffu, embedding_square, offset);
  }
  if (threadIdx.x != 0) return;
  cosine[row] = thread::target_cosine(product, centre_square, embedding_square);
  inverse_norms[row] = thread::inverse_length(centre_square);
}

__global__ void __launch_bounds__(kWarp* kWarps)
    diffprob_add_target_gradients(TargetRows rows, const float* inverse_norms, const float* slope,
                                  float* gradients) {
  std::int64_t row = 0;
  std::int64_t shard_row = 0;
  if (!target_row(rows, &row, &shard_row)) return;
  const float factor = slope[row];
  const float inverse = inverse_norms[row];
  for (int d = threadIdx.x; d < rows.dim; d += kWarp) {
    gradients[row * rows.dim + d] +=
        factor * (centre_number(rows, shard_row * rows.dim + d) * inverse);
  }
}

/// A warp a class row.
template <bool narrow>
__global__ void __launch_bounds__(kWarp* kWarps)
    diffprob_head_sgd(HeadRows rows, HeadSgdStep step, DeviceControl control) {
  if (control.do_update != nullptr && *control.do_update == 0.0f) return;
  if (control.rate != nullptr) step.rate = *control.rate;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  if (i >= rows.count) return;
  const std::int64_t row = rows.rows != nullptr ? rows.rows[i] : rows.first + i;
  const float* gradient = rows.gradient + i * rows.dim;
  float dot = 0;
  for (int d = threadIdx.x * 4; d < rows.dim; d += kWarp * 4) {
    const float4 g = *reinterpret_cast<const float4*>(gradient + d);
    const float4 w = load4<narrow>(rows.weight, row * rows.dim + d);
    dot += g.x * w.x + g.y * w.y + g.z * w.z + g.w * w.w;
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2)
    dot += __shfl_xor_sync(0xffffffffu, dot, offset);
  const float inverse = rows.inverse_norms != nullptr ? rows.inverse_norms[i] : 0.0f;
  const float along = dot * inverse * inverse;
  const auto element = static_cast<std::uint64_t>((rows.first_class + row) * rows.dim);
  const std::uint64_t key =
      control.key != nullptr ? static_cast<std::uint64_t>(*control.key) : rows.key;
  const std::uint64_t weight_base =
      narrow ? element + thread::rounding_word(key, HeadRounding::kWeight) : 0;
  const std::uint64_t momentum_base =
      narrow ? element + thread::rounding_word(key, HeadRounding::kMomentum) : 0;
#pragma unroll 2  // more would not fit into registers
  for (int d = threadIdx.x * 4; d < rows.dim; d += kWarp * 4) {
    const std::int64_t at = row * rows.dim + d;
    // The first loop has brought it and the weights into the cache.
    const float4 g = *reinterpret_cast<const float4*>(gradient + d);
    const float4 w = load4<narrow>(rows.weight, at);
    const float4 v = load4<narrow>(rows.momentum, at);
    const auto x = thread::head_sgd({w.x, v.x}, g.x, along, step);
    const auto y = thread::head_sgd({w.y, v.y}, g.y, along, step);
    const auto z = thread::head_sgd({w.z, v.z}, g.z, along, step);
    const auto u = thread::head_sgd({w.w, v.w}, g.w, along, step);
    store4<narrow>(rows.weight, at, {x.weight, y.weight, z.weight, u.weight}, weight_base, d);
    store4<narrow>(rows.momentum, at, {x.velocity, y.velocity, z.velocity, u.velocity},
                   momentum_base, d);
  }
}

dim3 grid_of(const Products& products, int parts) {
  return dim3(static_cast<unsigned>((products.rows + kThreads - 1) / kThreads),
              static_cast<unsigned>(parts));
}

}  // namespace

int class_parts(const Products& products, int multiprocessors) {
  constexpr std::int64_t kClassesAPart = 32;  // at least
  const std::int64_t columns = (products.rows + kThreads - 1) / kThreads;
  const std::int64_t wanted =
      static_cast<std::int64_t>(multiprocessors) * 16 / std::max<std::int64_t>(1, columns);
  return static_cast<int>(
      std::clamp<std::int64_t>(std::min(wanted, products.classes / kClassesAPart), 1, 65535));
}

void non_target_maxima(const Products& products, int parts, float* below, float* above,
                       CUstream_st* stream) {
  diffprob_non_target_maxima<<<grid_of(products, parts), kThreads, 0, stream>>>(products, below,
                                                                                above);
  check_launch("maxima");
}

void exponentials(const Products& products, float scale, const float* reference, int parts,
                  float* sums, CUstream_st* stream) {
  diffprob_exponentials<<<grid_of(products, parts), kThreads, 0, stream>>>(products, scale,
                                                                           reference, sums);
  check_launch("exponentials");
}

void target_cosines(const TargetRows& rows, const float* x, std::int64_t stride, double* cosine,
                    float* inverse_norms, CUstream_st* stream) {
  const auto blocks = static_cast<unsigned>((rows.rows + kWarps - 1) / kWarps);
  diffprob_target_cosines<<<blocks, dim3(kWarp, kWarps), 0, stream>>>(rows, x, stride, cosine,
                                                                      inverse_norms);
  check_launch("cosines of the target class");
}

void add_target_gradients(const TargetRows& rows, const float* inverse_norms, const float* slope,
                          float* gradients, CUstream_st* stream) {
  const auto blocks = static_cast<unsigned>((rows.rows + kWarps - 1) / kWarps);
  diffprob_add_target_gradients<<<blocks, dim3(kWarp, kWarps), 0, stream>>>(rows, inverse_norms,
                                                                            slope, gradients);
  check_launch("gradients of the target class");
}

void head_sgd(const HeadRows& rows, const HeadSgdStep& step, const DeviceControl& control,
              CUstream_st* stream) {
  const auto blocks = static_cast<unsigned>((rows.count + kWarps - 1) / kWarps);
  const dim3 threads(kWarp, kWarps);
  const auto launch = [&](auto kernel) {
    kernel<<<blocks, threads, 0, stream>>>(rows, step, control);
  };
  rows.is_bfloat16 ? launch(diffprob_head_sgd<true>) : launch(diffprob_head_sgd<false>);
  check_launch("update");
}

}  // namespace diffprob::model::gpu
