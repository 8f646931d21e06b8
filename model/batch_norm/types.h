#pragma once

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Statistics of one batch-norm layer for one forward pass, on the input's device.
struct BatchStatistics {
  at::Tensor mean;          ///< [C] float64
  at::Tensor inv_std;       ///< [C] float64, 1 / sqrt(variance + eps)
  double count = 1;         ///< values per channel on this rank
  at::Tensor shared_count;  ///< [] float64, over all ranks; undefined when not synchronised
  bool frozen = false;      ///< running statistics were used: no gradient goes through them
};

/// Running statistics of a layer in training mode. Undefined tensors: the layer keeps none.
struct RunningStatistics {
  at::Tensor mean;         ///< [C]
  at::Tensor variance;     ///< [C]
  at::Tensor num_batches;  ///< [] int64
  double momentum = 0.1;
  at::Tensor lacks{};  ///< [C] float32, added to the mean of each batch; undefined: nothing
};

/// Weight and bias of a batch norm and slope of the PReLU after it, [C] each.
struct BatchAffine {
  at::Tensor weight;  ///< undefined: ones
  at::Tensor bias;    ///< undefined: zeros
  at::Tensor slope;   ///< undefined: no PReLU
};

}  // namespace diffprob::model
