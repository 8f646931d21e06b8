#pragma once

#include <cstdint>
#include <string>

#include "data/sets/dataset.h"
#include "launch/checkpoint/checkpoint.h"
#include "model/head_files/head_files.h"

namespace diffprob::launch {

/// Row k of a head is the centre of class k of the data set that it was trained on. Throws
/// ConfigError when `dataset` has another number of classes. Returns a warning when it is another
/// set with as many classes, "" when it is the same set or the checkpoint does not say (then the
/// number is all there is).
[[nodiscard]] std::string check_head_labels(const std::string& checkpoint,
                                            const CheckpointInfo& info,
                                            const data::Dataset& dataset);

/// Throws ConfigError when files of class centres (model.head) do not have as many classes as the
/// data set; the message says what may be the cause.
void check_head_classes(const model::HeadFiles& head, std::int64_t classes);

}  // namespace diffprob::launch
