#pragma once

#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Takes back what a skipped update did to a module's buffers: BatchNorm's running statistics
/// change in forward, before anyone knows that the batch is spoilt. No host synchronisation; a few
/// small kernels. The module must outlive it.
class KeptBuffers {
 public:
  explicit KeptBuffers(const torch::nn::Module& module);

  /// Before forward (with gradient accumulation: before the first one).
  void keep();
  /// After the decision: buffers are as they were at keep() when the scalar `apply` is 0.
  void restore_unless(const at::Tensor& apply);

 private:
  struct Kind {
    std::vector<at::Tensor> buffers;  ///< of one type
    at::Tensor kept;                  ///< flat
  };
  std::vector<Kind> kinds_;
};

}  // namespace diffprob::model
