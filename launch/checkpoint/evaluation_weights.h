#pragma once

#include <string>

#include "model/networks/backbone.h"

namespace diffprob::launch {

/// The network of a checkpoint as it is to be used: weights averaged over time when the training
/// kept such (train.ema_decay), else those of the last update. Throws c10::Error, data::DataError
/// naming file and entry. Not collective.
void load_for_evaluation(const std::string& checkpoint, model::Backbone& backbone);

}  // namespace diffprob::launch
