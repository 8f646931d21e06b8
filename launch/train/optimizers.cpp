#include "launch/train/optimizers.h"

#include "model/optim/adamw.h"
#include "model/optim/sgd.h"

namespace diffprob::launch {

std::unique_ptr<model::Optimizer> make_optimizer(const Config& config,
                                                 std::vector<at::Tensor> parameters,
                                                 const std::vector<double>& weight_decays) {
  const auto& t = config.train;
  if (t.optimizer == model::OptimizerKind::kAdamW) {
    model::AdamWOptions options = t.adamw;
    options.weight_decay = t.sgd.weight_decay;
    return std::make_unique<model::AdamW>(std::move(parameters), options, weight_decays);
  }
  return std::make_unique<model::Sgd>(std::move(parameters), t.sgd, weight_decays);
}

model::LrSchedule make_schedule(const Config& config, std::int64_t steps_per_epoch) {
  const auto& t = config.train;
  model::LrScheduleOptions options = t.schedule;
  options.total_steps = t.epochs * steps_per_epoch;
  return model::LrSchedule(options, t.batch_size, steps_per_epoch);
}

}  // namespace diffprob::launch
