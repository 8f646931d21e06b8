#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"

namespace diffprob::dist {

struct GradientReducerOptions {
  std::int64_t bucket_bytes = 25 << 20;       ///< a bucket is sent when it holds this much
  std::int64_t first_bucket_bytes = 1 << 20;  ///< the first one, small, so that communication starts early
  /// kAverage divides by world_size; kSum is exact for losses that are already means over the global batch.
  enum class Combine { kAverage, kSum } combine = Combine::kAverage;
};

/// Sums or averages gradients over ranks while backward still runs. Gradients are views of flat buckets, laid out with each
/// parameter's own strides (channels_last included), so nothing is copied. Buckets follow the true order in which the first backward
/// delivers gradients, agreed on by all ranks (rank 0's order is broadcast). One per model; parameters must outlive it.
class GradientReducer {
 public:
  /// Collective. `parameters`: those that require a gradient, same order and shapes on all ranks (checked).
  GradientReducer(std::vector<at::Tensor> parameters, Communicator& communicator, GradientReducerOptions options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Before each backward: zeroes the gradients (one fill a bucket).
  void zero_grad();
  /// Whether the next backward communicates; false on all but the last micro-step of gradient accumulation.
  void set_communicate(bool communicate) noexcept;
  /// After backward: sends what is left (parameters without a gradient count as zero), waits, combines. Collective.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::dist
