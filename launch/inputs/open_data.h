#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "data/synthetic/faces.h"
#include "eval/embed/resident_set.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "prune/lists/index_set.h"
#include "prune/prune.h"

namespace diffprob::launch {

[[nodiscard]] data::SyntheticFacesOptions synthetic_options(const Config& config);
[[nodiscard]] prune::PruneOptions prune_options(const Config& config);
/// With a log line every few seconds.
[[nodiscard]] prune::PruneWork prune_work();

/// Whether the training set is the embedded one.
[[nodiscard]] bool is_synthetic(const Config& config);

/// Copies the training set to each node first when data.stage_dir says so, opens it on every rank
/// and compares fingerprints: ranks that see different copies are an error that names them. Applies
/// data.kept.
[[nodiscard]] std::shared_ptr<const data::Dataset> open_training_set(const Config& config,
                                                                     Runtime& runtime);
/// Reads data.kept. To what such a list needs and does not have, adds the command that converts it.
[[nodiscard]] prune::IndexSet read_kept_list(const std::string& path, std::int64_t num_samples);
/// The part of `dataset` that an index set keeps, with its label map. Refuses index sets of another
/// data set.
[[nodiscard]] std::shared_ptr<const data::Dataset> kept_part(
    const std::shared_ptr<const data::Dataset>& dataset, const prune::IndexSet& set,
    const std::string& path);
/// Whether decoded images stay in memory for the next evaluation.
enum class KeepDecoded : bool { kNo, kYes };
/// The .bin files of eval.sets.
[[nodiscard]] std::vector<eval::ResidentSet> open_verification_sets(const Config& config,
                                                                    KeepDecoded keep);

}  // namespace diffprob::launch
