#pragma once

#include <memory>
#include <vector>

#include "launch/config/config.h"
#include "model/optim/lr_schedule.h"
#include "model/optim/optimizer.h"

namespace diffprob::launch {

/// What train.optimizer asks for, with an own weight decay a parameter.
[[nodiscard]] std::unique_ptr<model::Optimizer> make_optimizer(
    const Config& config, std::vector<at::Tensor> parameters,
    const std::vector<double>& weight_decays);

/// What train.schedule asks for.
[[nodiscard]] model::LrSchedule make_schedule(const Config& config, std::int64_t steps_per_epoch);

}  // namespace diffprob::launch
