#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::dist {

struct GradientBucket {
  at::Tensor
      flat;  ///< 1-D, zeros at first; every member's gradient starts at a multiple of 64 bytes
  std::vector<std::size_t>
      members;  ///< parameter indices, in the order their gradients are expected
};

/// Where each parameter's gradient lives.
struct GradientBuckets {
  std::vector<GradientBucket> buckets;
  std::vector<std::size_t> bucket_of;  ///< by parameter
  std::vector<at::Tensor>
      views;  ///< by parameter: sizes and strides of the parameter, memory of its bucket
};

/// Fills buckets in the given order of parameters; a bucket is full at the given size (the first:
/// first_bytes) or where the dtype changes.
[[nodiscard]] GradientBuckets make_gradient_buckets(const std::vector<at::Tensor>& parameters,
                                                    const std::vector<std::size_t>& order,
                                                    std::int64_t first_bytes, std::int64_t bytes);

}  // namespace diffprob::dist
