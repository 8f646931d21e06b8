#include "launch/train/optimizers.h"

#include "model/optim/adamw.h"
#include "model/optim/sgd.h"

namespace diffprob::launch {

std::unique_ptr<model::Optimizer> make_optimizer(const TrainConfig& train,
                                                 std::vector<at::Tensor> parameters,
                                                 const std::vector<double>& weight_decays) {
  if (train.optimizer == model::OptimizerKind::kAdamW) {
    model::AdamWOptions options = train.adamw;
    options.weight_decay = train.sgd.weight_decay;
    return std::make_unique<model::AdamW>(std::move(parameters), options, weight_decays);
  }
  return std::make_unique<model::Sgd>(std::move(parameters), train.sgd, weight_decays);
}

model::LrSchedule make_schedule(const TrainConfig& train, std::int64_t steps_per_epoch) {
  model::LrScheduleOptions options = train.schedule;
  options.total_steps = train.epochs * steps_per_epoch;
  return model::LrSchedule(options, train.batch_size, steps_per_epoch);
}

}  // namespace diffprob::launch
