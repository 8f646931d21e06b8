#pragma once

namespace diffprob::model {

enum class OptimizerKind { kSgd, kAdamW };

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< added to the gradient
  bool nesterov = false;       ///< the step looks one momentum ahead; needs a momentum
};

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.05;  ///< decoupled: p -= lr * wd * p
};

}  // namespace diffprob::model
