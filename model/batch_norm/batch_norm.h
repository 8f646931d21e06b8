#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include "dist/communicator.h"

namespace diffprob::model {

/// Of one batch norm in one forward pass, on the device of its input.
struct BatchStatistics {
  at::Tensor mean;     ///< [C] float64
  at::Tensor inverse;  ///< [C] float64, 1 / sqrt(variance + eps)
  double count = 1;    ///< values a channel of this rank
  at::Tensor
      shared_count;     ///< [] float64, over all ranks when they are synchronised, else undefined
  bool frozen = false;  ///< running statistics were used: no gradient goes through them
};

/// Statistics in order of use: kept in a first forward pass, given again in its repetition. The
/// repetition then needs no second look at the batch, no communication, and leaves the running
/// statistics alone.
class StatisticsTape {
 public:
  void keep(BatchStatistics statistics) { kept_.push_back(std::move(statistics)); }
  void rewind() noexcept { next_ = 0; }
  /// Throws c10::Error past the end: the repetition took another way than the first pass.
  [[nodiscard]] const BatchStatistics& next();

 private:
  std::vector<BatchStatistics> kept_;
  std::size_t next_ = 0;
};

/// How the batch norms of one network work; shared by its blocks.
struct BatchNormPlan {
  dist::Communicator* sync =
      nullptr;        ///< statistics over the batches of all its ranks; null: of this rank
  bool fused = true;  ///< own kernels where they apply (batch_norm_ops.h); false: LibTorch's
  /// Layers whose output goes to another batch norm leave the sums for its statistics; where
  /// kernels are ours.
  bool sum_outputs = false;
  StatisticsTape* tape = nullptr;  ///< set for the length of a pass that is kept or repeated
  bool repeating = false;          ///< which of both

  /// Sums that the last pass left of `x`, when it wrote x; undefined otherwise. They are forgotten
  /// either way.
  [[nodiscard]] at::Tensor take_sums(const at::Tensor& x);
  /// Of the last output, until the next layer asks; the output itself, so that its memory is not
  /// another's meanwhile.
  at::Tensor output{};
  at::Tensor output_sums{};
};

/// What takes the output of a layer.
enum class Next { kOther, kBatchNorm };

/// y = BN(x), or PReLU(BN(x)), or BN(x) + residual, each in one pass over x [N, C, ...]; in
/// training mode running statistics are updated as LibTorch does. Kept for the backward pass: x
/// alone. Collective in training mode when plan.sync is set, backward too.
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                    BatchNormPlan& plan);
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm1dImpl& bn, const at::Tensor& x,
                                    BatchNormPlan& plan);
[[nodiscard]] at::Tensor batch_norm_prelu(torch::nn::BatchNorm2dImpl& bn,
                                          torch::nn::PReLUImpl& prelu, const at::Tensor& x,
                                          BatchNormPlan& plan, Next next = Next::kOther);
[[nodiscard]] at::Tensor batch_norm_add(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                        const at::Tensor& residual, BatchNormPlan& plan,
                                        Next next = Next::kOther);

/// {BN(x), x}: what comes back through the second output is added in the pass that makes the
/// gradient of x.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> batch_norm_fork(torch::nn::BatchNorm2dImpl& bn,
                                                                const at::Tensor& x,
                                                                BatchNormPlan& plan);

}  // namespace diffprob::model
