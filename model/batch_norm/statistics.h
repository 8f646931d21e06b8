#pragma once

#include <torch/nn/modules/batchnorm.h>

#include "model/batch_norm/context.h"

namespace diffprob::model {

/// A batch norm of any dimension: its tensors, not copies of them.
struct BatchNormLayer {
  BatchAffine affine;
  RunningStatistics running;
  double eps;
  bool training;
};

/// Throws c10::Error for a layer in training mode whose averages are cumulative.
template <class Norm>
[[nodiscard]] BatchNormLayer layer_of(const Norm& bn) {
  BatchNormLayer layer = {{bn.weight, bn.bias, {}}, {}, bn.options.eps(), bn.is_training()};
  if (!bn.running_mean.defined()) return layer;
  TORCH_CHECK(!layer.training || bn.options.momentum().has_value(),
              "batch norm: cumulative averages are not supported; set a momentum");
  layer.running = {bn.running_mean, bn.running_var, bn.num_batches_tracked,
                   bn.options.momentum().value_or(0)};
  return layer;
}

/// Returns what the layer normalises x with. In training mode these are the statistics of the
/// batch, over the batches of all ranks when context.sync is set (collective then), and the running
/// ones are updated; else they are the running ones. During a repetition they come from the tape.
/// input: what is known of x.
[[nodiscard]] BatchStatistics statistics_of(const BatchNormLayer& layer, const at::Tensor& x,
                                            const BatchNormContext::Output& input,
                                            BatchNormContext& context);

}  // namespace diffprob::model
