#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/pickle/reader.h"

namespace diffprob::model {

/// Names and values of the tensors of a pickle. A value lives as long as its data::Pickle.
using PickledEntries = std::vector<std::pair<std::string, const data::PickleValue*>>;

/// Returns all tensors of the dictionaries that `root` is or holds; names of nested ones are joined
/// with '.'. What is no tensor and no dictionary is skipped. A single tensor has the name "".
/// Throws data::DataError when `root` is neither a dictionary nor a tensor, and names a whole
/// pickled module as such.
[[nodiscard]] PickledEntries pickled_entries(const data::PickleValue& root);

/// Returns the dictionary that holds the weights of the network: `root` itself, or that which
/// trainers put under "state_dict", "model", "backbone" and the like. Throws data::DataError when
/// there is none.
[[nodiscard]] const data::PickleValue& find_state_dict(const data::PickleValue& root);

}  // namespace diffprob::model
