#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "dist/reducer/options.h"

namespace diffprob::dist {

/// Largest number of ranks of a device whose gradients may travel in this type. Host tensors are
/// added in float32. NCCL adds in the type itself, in a ring one rank after the other: from as many
/// like terms on as the type has digits for (2^8 in bfloat16, 2^11 in float16), a term is below
/// half a digit of the sum and is lost. The error of bfloat16 is 1.8 % of the sum at 256 ranks and
/// 39 % at 1,024.
[[nodiscard]] std::int64_t most_ranks_adding_in(at::ScalarType communication_dtype,
                                                at::Device device);

/// Sums or averages gradients over ranks while backward still runs. Gradients are views of flat
/// buckets, laid out with each parameter's own strides (channels_last included). What computes a
/// gradient may write it there (options.places); else it is copied once. Buckets follow the true
/// order in which the first backward delivers gradients, agreed on by all ranks (rank 0's order is
/// broadcast). One per model; parameters must outlive it.
class GradientReducer {
 public:
  /// Collective. `parameters`: those that require a gradient, same order and shapes on all ranks
  /// (checked).
  GradientReducer(std::vector<at::Tensor> parameters, Communicator& communicator,
                  GradientReducerOptions options = {});
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  /// Before each backward, with micro-steps before the first: no parameter has a gradient.
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
