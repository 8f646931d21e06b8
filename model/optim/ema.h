#pragma once

#include <vector>

#include "model/weights/weights.h"

namespace diffprob::model {

/// Exponential moving average of a network's weights and statistics, for evaluation: shadow = decay
/// * shadow + (1 - decay) * value. It starts as a copy. Integer entries (BatchNorm's batch counts)
/// are copied, not averaged. The module must outlive it.
class Ema {
 public:
  /// decay in [0, 1). Throws c10::Error.
  Ema(const torch::nn::Module& module, double decay);

  /// After each update of the weights, a skipped one too.
  void update();
  /// Starts again as a copy: the module's values have been replaced.
  void restart();
  /// Live shadows under the module's state-dict names: what is saved as weights and restored.
  [[nodiscard]] const StateDict& state() const noexcept { return shadows_; }

  /// While one lives, the module holds the averages and the shadows hold the module's values. Do
  /// not train meanwhile.
  class Swapped {
   public:
    explicit Swapped(Ema& ema) : ema_(ema) { ema_.swap(); }
    ~Swapped() { ema_.swap(); }
    Swapped(const Swapped&) = delete;
    Swapped& operator=(const Swapped&) = delete;

   private:
    Ema& ema_;
  };

 private:
  void swap();

  double decay_;
  StateDict values_;  ///< the module's own tensors
  StateDict shadows_;
};

}  // namespace diffprob::model
