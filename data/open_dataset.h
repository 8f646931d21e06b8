#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/records/record_io.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

/// Opens whatever `path` is: a folder with train.rec (InsightFace or im2rec layout), a .rec file, a
/// list (.lst, .list or .txt), a folder of one sub-folder a class, or a .bin, whose images have one
/// class each. The images of a list are looked up in `list_root`, or in its folder when that is
/// empty. Throws DataError that says what was found and what is understood.
[[nodiscard]] std::shared_ptr<const Dataset> open_dataset(const std::string& path,
                                                          const std::string& list_root = "",
                                                          const HeadProgress& progress = {});

/// One path: open_dataset(path). Several: all of them, concatenated in that order. Throws
/// DataError, also on a path given twice (its people would become two classes each).
[[nodiscard]] std::shared_ptr<const Dataset> open_datasets(const std::vector<std::string>& paths,
                                                           const std::string& list_root = "",
                                                           const HeadProgress& progress = {});

}  // namespace diffprob::data
