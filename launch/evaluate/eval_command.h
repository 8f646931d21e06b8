#pragma once

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// `diffprob eval`: .bin sets (eval.sets) and IJB folders (eval.ijb) with a network
/// (model.checkpoint) or with features made elsewhere (eval.features). Writes output/eval.json,
/// output/ijb.json, lists of missing images, and eval.json's file; prints tables. Collective.
void eval_command(const Config& config, Runtime& runtime);

/// What can be wrong with its configuration: throws ConfigError. Not collective.
void check_eval(const Config& config);

}  // namespace diffprob::launch
