#pragma once

#include <memory>
#include <string>
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
/// Opens sets on every rank. Records are read by the first rank of each node, which leaves their
/// index for the others (data/records/saved_index.h). What is
/// thrown is thrown on the rank that meets it. Collective.
[[nodiscard]] std::shared_ptr<const data::Dataset> open_together(
    const std::vector<std::string>& paths, const std::string& root, Runtime& runtime);

/// Reads the .bin files of eval.sets.
[[nodiscard]] std::vector<eval::ResidentSet> open_verification_sets(const Config& config,
                                                                    KeepDecoded keep);

}  // namespace diffprob::launch
