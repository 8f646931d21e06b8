#pragma once

#include <memory>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/embed/resident_set.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Copies the training set to each node first when data.stage_dir says so, opens it on every rank
/// and compares fingerprints: ranks that see different copies are an error that names them. Applies
/// data.kept. Throws ConfigError on the synthetic set.
[[nodiscard]] std::shared_ptr<const data::Dataset> open_training_set(const Config& config,
                                                                     Runtime& runtime);
/// kYes: decoded images stay in memory for the next evaluation.
enum class KeepDecoded : bool { kNo, kYes };
/// Reads the .bin files of eval.sets.
[[nodiscard]] std::vector<eval::ResidentSet> open_verification_sets(const Config& config,
                                                                    KeepDecoded keep);

}  // namespace diffprob::launch
