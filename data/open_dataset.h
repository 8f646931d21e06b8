#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Opens whatever `path` is: a folder with train.rec (InsightFace or im2rec layout), a .rec file, a
/// .lst list (images relative to its folder), or a folder of one sub-folder a class. Throws
/// DataError that says what was found and what is understood.
[[nodiscard]] std::shared_ptr<const Dataset> open_dataset(const std::string& path);

/// One path: open_dataset(path). Several: all of them, concatenated in that order. Throws
/// DataError, also on a path given twice (its people would become two classes each).
[[nodiscard]] std::shared_ptr<const Dataset> open_datasets(const std::vector<std::string>& paths);

}  // namespace diffprob::data
