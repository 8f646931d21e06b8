#pragma once

#include <memory>
#include <vector>

#include "launch/config/config.h"
#include "model/optim/lr_schedule.h"
#include "model/optim/optimizer.h"

namespace diffprob::launch {

/// Makes what train.optimizer asks for, with one weight decay per parameter.
[[nodiscard]] std::unique_ptr<model::Optimizer> make_optimizer(
    const TrainConfig& train, std::vector<at::Tensor> parameters,
    const std::vector<double>& weight_decays);

/// Makes what train.schedule asks for.
[[nodiscard]] model::LrSchedule make_schedule(const TrainConfig& train,
                                              std::int64_t steps_per_epoch);

}  // namespace diffprob::launch
