#pragma once

#include <optional>
#include <string>

#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/train/dynamics/dynamics_recorder.h"
#include "launch/train/train.h"
#include "launch/train/train_step.h"

namespace diffprob::launch {

/// The recorder that train.record or train.prune asks for, or nothing.
[[nodiscard]] std::optional<DynamicsRecorder> make_recorder(const TrainJob& job,
                                                            const Config& config, Runtime& runtime);

/// Writes FOLDER/dynamics.h5 at the end of a training and returns its path; "" when no epoch was
/// recorded. Samples that no epoch had are recorded with the trained network first. `checkpoint`:
/// the last one. Collective; rank 0 writes.
[[nodiscard]] std::string write_dynamics(DynamicsRecorder& recorder, TrainStep& train_step,
                                         const TrainJob& job, const Config& config,
                                         const std::string& checkpoint, Runtime& runtime);

}  // namespace diffprob::launch
