#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/optim/optimizer.h"
#include "model/softmax/head_update.h"

namespace diffprob::model {

struct HeadSgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;
  bool nesterov = false;
  std::uint64_t seed = 1;  ///< of the stochastic rounding of bfloat16 rows
};

/// SGD over class rows as PyTorch has it (see Sgd), one pass over gradient, weight and momentum.
/// Sampled rows: decay, momentum and update of these rows alone. bfloat16 weights and momenta are
/// computed in float32 and rounded stochastically, without bias: rounding to nearest would drop
/// every update below 1/256 of its weight. Rounding is keyed by (seed, step, class, element), not
/// by rank.
class HeadSgd : public HeadUpdate {
 public:
  /// weight [C_r, D] float32 or bfloat16, kept; first_class: global id of its row 0. Momenta are of
  /// the same type and start at zero.
  HeadSgd(at::Tensor weight, std::int64_t first_class, HeadSgdOptions options);

  /// Call it before the rows of a step come. control.do_update as for every optimiser: 0 leaves all
  /// bits as they are. `step` keys the rounding; device_step [1] int64, where it is defined, takes
  /// its place (as control.device_rate does that of the rate, and where that may be).
  void begin_step(StepControl control, std::uint64_t step, const at::Tensor& device_step = {});
  void update_rows(const RowGradients& rows) override;
  [[nodiscard]] bool projects() const noexcept override;

  /// [C_r, D], for checkpoints.
  [[nodiscard]] at::Tensor& momentum() noexcept { return momentum_; }

 private:
  [[nodiscard]] bool skipped_on_host() const;
  void update_host(const RowGradients& rows);
  void update_device(const RowGradients& rows);

  at::Tensor weight_;
  at::Tensor momentum_;
  std::int64_t first_class_;
  HeadSgdOptions options_;
  StepControl control_;
  std::uint64_t key_ = 0;
  at::Tensor device_key_;
};

/// float32 [n, D] -> bfloat16, up or down with the probability that keeps the mean; random numbers
/// are a function of (key, class id, column). class_ids [n] int64. Not-a-number and infinity stay
/// what they are.
[[nodiscard]] at::Tensor round_stochastically(const at::Tensor& values, const at::Tensor& class_ids,
                                              std::uint64_t key);

namespace any_device {
/// The same by ATen; tests compare.
[[nodiscard]] at::Tensor round_stochastically(const at::Tensor& values, const at::Tensor& class_ids,
                                              std::uint64_t key);
}  // namespace any_device

}  // namespace diffprob::model
