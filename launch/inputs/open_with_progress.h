#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::launch {

/// data::open_datasets for one rank. The first opening of a large .rec reads the heads of all its
/// records, minutes for tens of millions: shows how far it is. Throws data::DataError.
[[nodiscard]] std::shared_ptr<const data::Dataset> open_with_progress(
    const std::vector<std::string>& paths, const std::string& list_root = "");

}  // namespace diffprob::launch
