#pragma once

#include <memory>
#include <string>

#include "data/dataset.h"

namespace diffprob::data {

/// One sub-folder a class, classes in sorted order, images in sorted order (.jpg .jpeg .png .bmp .webp, any case). Throws DataError.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_folder(const std::string& folder);

/// A .lst file, either kind: im2rec `index<TAB>label...<TAB>path`, InsightFace `aligned<TAB>path<TAB>label...`. Paths are relative to the
/// list's folder. Throws DataError with the line.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_list(const std::string& lst_path);

}  // namespace diffprob::data
