#pragma once

#include <cstdint>

#include "data/random/splitmix64.h"
#include "model/kernels/gpu_rows.h"
#include "model/kernels/host_device.h"

namespace diffprob::model::gpu::thread {

/// Says whether elements 2 pair and 2 pair + 1 of a row stay: keyed_dropout.h says what the keys
/// are. One hash serves both, 32 bits each; an element stays when its half is at least threshold =
/// p * 2^32.
struct Stays {
  bool first;
  bool second;
};
DIFFPROB_HOST_DEVICE Stays stays(std::uint64_t row_key, std::int64_t pair,
                                 std::uint64_t threshold) {
  const std::uint64_t bits = data::splitmix64(row_key + static_cast<std::uint64_t>(pair));
  return {(bits & 0xffffffffu) >= threshold, (bits >> 32) >= threshold};
}

}  // namespace diffprob::model::gpu::thread

namespace diffprob::model::gpu {

struct Dropout {
  std::uint64_t key;
  /// Holds the bits of a key that changes from replay to replay of a CUDA graph; null: use `key`.
  const std::int64_t* device_key;
  std::int64_t first_row;  ///< of the global batch
  std::uint64_t threshold;
  float scale;
};
/// y = x * scale where an element stays, else 0. x, y: rows x channels.
void dropout(const Rows& rows, const void* x, const Dropout& options, void* y, CUstream_st* stream);

}  // namespace diffprob::model::gpu
