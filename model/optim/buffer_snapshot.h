#pragma once

#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Undoes what a skipped update did to a module's buffers: BatchNorm's running statistics change in
/// the forward pass, before anyone knows that the update will be skipped. Needs no host
/// synchronisation, only a few small kernels. The module must outlive it.
class BufferSnapshot {
 public:
  explicit BufferSnapshot(const torch::nn::Module& module);

  /// Copies the buffers. Call it before the forward pass (with gradient accumulation, before the
  /// first one).
  void save();
  /// Call it after the decision: when the scalar `do_update` is 0, the buffers become what they
  /// were at save().
  void restore_if_skipped(const at::Tensor& do_update);

 private:
  struct Kind {
    std::vector<at::Tensor> buffers;  ///< of one type
    at::Tensor saved;                 ///< flat
  };
  std::vector<Kind> kinds_;
};

}  // namespace diffprob::model
