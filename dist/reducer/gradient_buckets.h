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

/// Bytes of gradients in a bucket.
struct BucketBytes {
  std::int64_t first;   ///< the first one is full from here on
  std::int64_t others;  ///< the others are full from here on
  std::int64_t last;    ///< most of the last one, unless a single parameter has more
};

/// Fills buckets in the given order of parameters; a bucket is also full where the dtype changes.
[[nodiscard]] GradientBuckets make_gradient_buckets(const std::vector<at::Tensor>& parameters,
                                                    const std::vector<std::size_t>& order,
                                                    const BucketBytes& bytes);

}  // namespace diffprob::dist
