#pragma once

#include <string>

#include "data/sets/dataset.h"
#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {

/// Row k of a head is the centre of class k of the data set that it was trained on. Throws
/// ConfigError when `dataset` has another number of classes. Returns a warning when it is another
/// set with as many classes, "" when it is the same set or the checkpoint does not say (then the
/// number is all there is).
[[nodiscard]] std::string check_head_labels(const std::string& checkpoint,
                                            const CheckpointInfo& info,
                                            const data::Dataset& dataset);

}  // namespace diffprob::launch
