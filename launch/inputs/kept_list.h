#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "data/sets/dataset.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {

/// Reads data.kept. When such a list lacks something, the error names the command that converts it.
[[nodiscard]] prune::IndexSet read_kept_list(const std::string& path, std::int64_t num_samples);
/// The part of `dataset` that an index set keeps, with its label map. Refuses index sets of another
/// data set. `path` is for messages.
[[nodiscard]] std::shared_ptr<const data::Dataset> kept_part(
    const std::shared_ptr<const data::Dataset>& dataset, const prune::IndexSet& set,
    const std::string& path);
/// Fingerprint of the set that `dataset` is a part of (data.kept), or "" when it is whole.
[[nodiscard]] std::string part_of(const data::Dataset& dataset);
/// How the samples of a training set that is a part (data.kept) count in data.train; nothing when
/// it is not one.
[[nodiscard]] std::optional<prune::WholeNumbers> whole_numbers(const data::Dataset& dataset);

}  // namespace diffprob::launch
