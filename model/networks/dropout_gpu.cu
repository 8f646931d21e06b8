#include "model/networks/dropout_gpu.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace diffprob::model::gpu {
namespace {

constexpr int kThreads = 256;

/// A row a blockIdx.y, two elements a thread.
template <class T>
__global__ void __launch_bounds__(kThreads)
    diffprob_dropout(const T* x, std::int64_t columns, Dropout options, T* y) {
  const std::int64_t pair = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::uint64_t key =
      options.device_key != nullptr ? static_cast<std::uint64_t>(*options.device_key) : options.key;
  const std::uint64_t row_key =
      data::combine_key(key, static_cast<std::uint64_t>(options.first_row) + blockIdx.y);
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * columns;
  const auto both = thread::stays(row_key, pair, options.threshold);
  for (int i = 0; i < 2; ++i) {
    const std::int64_t c = pair * 2 + i;
    if (c >= columns) return;
    const float value = static_cast<float>(x[row + c]) * options.scale;
    y[row + c] = static_cast<T>((i == 0 ? both.first : both.second) ? value : 0.0f);
  }
}

}  // namespace

void dropout(const Rows& rows, const void* x, const Dropout& options, void* y,
             CUstream_st* stream) {
  const dim3 grid(static_cast<unsigned>((rows.channels + 2 * kThreads - 1) / (2 * kThreads)),
                  static_cast<unsigned>(rows.count));
  const auto launch = [&](auto zero) {
    using T = decltype(zero);
    diffprob_dropout<T><<<grid, kThreads, 0, stream>>>(static_cast<const T*>(x), rows.channels,
                                                       options, static_cast<T*>(y));
  };
  if (rows.type == Number::kFloat) {
    launch(float{});
  } else if (rows.type == Number::kHalf) {
    launch(c10::Half{});
  } else {
    launch(c10::BFloat16{});
  }
  if (const cudaError_t state = cudaGetLastError(); state != cudaSuccess) {
    throw std::runtime_error(std::string("dropout on the GPU: ") + cudaGetErrorString(state));
  }
}

}  // namespace diffprob::model::gpu
