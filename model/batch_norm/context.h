#pragma once

#include <cstddef>
#include <vector>

#include <torch/custom_class.h>

#include "dist/communicator.h"
#include "dist/reducer/gradient_places.h"
#include "model/batch_norm/ops.h"
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

/// Between a batch norm and the one that reads its output, from the forward pass of the first to
/// its backward pass.
struct OutputGradient : torch::CustomClassHolder {
  LayerBefore layer;   ///< the first one; sums are left there by the backward pass of the second
  at::Tensor written;  ///< the gradient of the output that these sums are of
};

/// How the batch norms of one network work, and what a layer leaves for the batch norm after it;
/// shared by the blocks of the network.
struct BatchNormContext {
  /// Statistics are taken over the batches of all its ranks; null: over this rank's batch.
  dist::Communicator* sync = nullptr;
  bool fused = true;  ///< use our kernels where they apply (ops.h); false: LibTorch's operators
  /// Where our kernels apply, a layer whose output goes to another batch norm computes the sums for
  /// its statistics, and that one, in the backward pass, the gradient sums of the first.
  bool sum_outputs = false;
  /// Where gradients of parameters go; null: into new tensors.
  dist::GradientPlaces* places = nullptr;
  StatisticsTape* tape = nullptr;  ///< set only during a pass that is recorded or repeated
  bool repeating = false;          ///< with a tape: true when the pass is repeated

  /// The last output and what is known of it, until the next layer takes that. The output is held
  /// so that its memory cannot become another tensor's meanwhile.
  struct Output {
    at::Tensor tensor{};
    at::Tensor sums{};
    c10::intrusive_ptr<OutputGradient> gradient{};  ///< null: sums of it are not needed
    at::Tensor lacks{};  ///< [C] float32, what it lacks in every pixel; undefined: nothing
  };
  Output output{};
  /// Returns `output` if it is x, else an empty one. Forgets it either way.
  [[nodiscard]] Output take_output(const at::Tensor& x);
};

/// Returns true if both are views of the same numbers, in the same order.
[[nodiscard]] bool same_values(const at::Tensor& a, const at::Tensor& b);

}  // namespace diffprob::model
