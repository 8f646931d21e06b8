#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"

namespace diffprob::dist {

struct GradientReducerOptions {
  /// A bucket is sent when it holds this much.
  std::int64_t bucket_bytes = 25 << 20;
  /// Size of the first bucket, small, so that communication starts early.
  std::int64_t first_bucket_bytes = 1 << 20;
  /// kSum is exact for losses that are already means over the global batch, as ours are. kAverage
  /// divides by world_size, for losses that are means over a rank's batch.
  enum class Combine { kAverage, kSum } combine = Combine::kSum;
  /// What travels: float32 (each parameter's own dtype), or bfloat16 or float16, which halve the
  /// bytes of float32 gradients at the cost of one rounding on each rank and one of the result.
  /// Gradients stay float32, micro-steps accumulate in float32. Host tensors are added in float32;
  /// NCCL adds in the 16-bit type. float16 overflows beyond 65504: the result is then infinite, as
  /// a step of the loss scaler expects. kAverage divides before the gradients are rounded.
  at::ScalarType communication_dtype = at::kFloat;
  /// If true, buckets follow the order of the first backward from the second step on. If false,
  /// they keep the reverse order of the parameters. Where NCCL adds a number up depends on its
  /// place in a bucket, so a resumed training gives equal bits only with false.
  bool reorder = true;
};

/// Largest number of ranks of a device whose gradients may travel in this type. Host tensors are
/// added in float32. NCCL adds in the type itself, in a ring one rank after the other: from as many
/// like terms on as the type has digits for (2^8 in bfloat16, 2^11 in float16), a term is below
/// half a digit of the sum and is lost. The error of bfloat16 is 1.8 % of the sum at 256 ranks and
/// 39 % at 1,024.
[[nodiscard]] std::int64_t most_ranks_adding_in(at::ScalarType communication_dtype,
                                                at::Device device);

/// Sums or averages gradients over ranks while backward still runs. Gradients are views of flat
/// buckets, laid out with each parameter's own strides (channels_last included), so nothing is
/// copied. Buckets follow the true order in which the first backward delivers gradients, agreed on
/// by all ranks (rank 0's order is broadcast). One per model; parameters must outlive it.
class GradientReducer {
 public:
  /// Collective. `parameters`: those that require a gradient, same order and shapes on all ranks
  /// (checked).
  GradientReducer(std::vector<at::Tensor> parameters, Communicator& communicator,
                  GradientReducerOptions options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Before each backward: zeroes the gradients (one fill a bucket).
  void zero_grad();
  /// Whether the next backward communicates; false on all but the last micro-step of gradient
  /// accumulation. Gradients of the micro-steps add up where they are; the whole sum is sent once.
  /// The caller scales the loss of each micro-step.
  void set_communicate(bool communicate) noexcept;
  /// After backward: sends what is left (parameters without a gradient count as zero), waits,
  /// combines. Collective.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::dist
