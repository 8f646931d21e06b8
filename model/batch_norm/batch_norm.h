#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include "dist/communicator.h"
#include "model/batch_norm/types.h"

namespace diffprob::model {

/// Statistics in order of use: recorded in a first forward pass and handed out again when that pass
/// is repeated. The repetition then needs no second look at the batch and no communication, and
/// leaves the running statistics alone.
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

/// How the batch norms of one network work, and what one of them leaves for the next; shared by the
/// blocks of the network.
struct BatchNormContext {
  /// Statistics are taken over the batches of all its ranks; null: over this rank's batch.
  dist::Communicator* sync = nullptr;
  bool fused = true;  ///< use our kernels where they apply (ops.h); false: LibTorch's operators
  /// Layers whose output goes to another batch norm compute the sums for its statistics, where
  /// our kernels apply.
  bool sum_outputs = false;
  StatisticsTape* tape = nullptr;  ///< set only during a pass that is recorded or repeated
  bool repeating = false;          ///< with a tape: true when the pass is repeated

  /// Returns the sums that the last pass left of `x` if it wrote x, else an undefined tensor.
  /// Forgets them either way.
  [[nodiscard]] at::Tensor take_sums(const at::Tensor& x);
  /// The last output and its sums, until the next layer takes them. The output is held so that its
  /// memory cannot become another tensor's meanwhile.
  at::Tensor output{};
  at::Tensor output_sums{};
};

/// Which layer takes the output of a batch norm.
enum class OutputGoesTo { kOtherLayer, kBatchNorm };

/// y = BN(x), or PReLU(BN(x)), or BN(x) + residual, each in one pass over x [N, C, ...]; in
/// training mode running statistics are updated as LibTorch does. Only x is saved for the backward
/// pass. Collective in training mode when context.sync is set, also in the backward pass.
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                    BatchNormContext& context);
[[nodiscard]] at::Tensor batch_norm(torch::nn::BatchNorm1dImpl& bn, const at::Tensor& x,
                                    BatchNormContext& context);
[[nodiscard]] at::Tensor batch_norm_prelu(torch::nn::BatchNorm2dImpl& bn,
                                          torch::nn::PReLUImpl& prelu, const at::Tensor& x,
                                          BatchNormContext& context,
                                          OutputGoesTo next = OutputGoesTo::kOtherLayer);
[[nodiscard]] at::Tensor batch_norm_add(torch::nn::BatchNorm2dImpl& bn, const at::Tensor& x,
                                        const at::Tensor& residual, BatchNormContext& context,
                                        OutputGoesTo next = OutputGoesTo::kOtherLayer);

/// Returns {BN(x), x}. The gradient that comes back through the second output is added in the pass
/// that computes the gradient of x.
[[nodiscard]] std::pair<at::Tensor, at::Tensor> batch_norm_fork(torch::nn::BatchNorm2dImpl& bn,
                                                                const at::Tensor& x,
                                                                BatchNormContext& context);

}  // namespace diffprob::model
