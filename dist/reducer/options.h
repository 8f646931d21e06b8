#pragma once

#include <cstdint>

#include <c10/core/ScalarType.h>

namespace diffprob::dist {

class GradientPlaces;

struct GradientReducerOptions {
  std::int64_t bucket_bytes = 25 << 20;  ///< a bucket is sent when it holds this much
  /// Size of the first bucket: small, so that communication starts early.
  std::int64_t first_bucket_bytes = 1 << 20;
  /// Size of the last bucket: small, since backward has ended when it is sent.
  std::int64_t last_bucket_bytes = 1 << 20;
  /// kAverage divides by world_size; kSum is exact for losses that are already means over the
  /// global batch.
  enum class Combine { kAverage, kSum } combine = Combine::kSum;
  /// What travels: float32 (each parameter's own dtype), or bfloat16 or float16, which halve the
  /// bytes of float32 gradients at the cost of one rounding on each rank and one of the result.
  /// Gradients stay float32, micro-steps accumulate in float32. Host tensors are added in float32;
  /// NCCL adds in the 16-bit type. float16 overflows beyond 65504: the result is then infinite, as
  /// a step of the loss scaler expects. kAverage divides before the gradients are rounded.
  at::ScalarType communication_dtype = at::kFloat;
  /// Buckets follow the order of the first backward from the second step on. If false, they keep
  /// the reverse order of the parameters: where NCCL adds a number up depends on its place in a
  /// bucket, so only then does a resumed training give equal bits.
  bool reorder = true;
  /// Told where gradients are to lie; it must outlive the reducer. May be null.
  GradientPlaces* places = nullptr;
};

}  // namespace diffprob::dist
