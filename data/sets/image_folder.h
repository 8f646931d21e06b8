#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "data/sets/dataset.h"
#include "data/sets/image_files.h"

namespace diffprob::data {

/// One sub-folder a class, classes in sorted order, images in sorted order (.jpg .jpeg .png .bmp
/// .webp, any case). Throws DataError.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_folder(const std::string& folder);

/// A .lst file, either kind: im2rec `index<TAB>label...<TAB>path`, InsightFace
/// `aligned<TAB>path<TAB>label...`. Paths are relative to the list's folder. Throws DataError with
/// the line.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_list(const std::string& lst_path);

/// Something for which opening refuses a folder or list.
struct ImageSetProblem {
  std::int64_t label = -1;  ///< class without images; -1: a line of a list
  std::string message;
  bool left_out = false;  ///< a file or folder that no reader takes: opening goes on without it
};
using OnImageSetProblem = std::function<void(const ImageSetProblem&)>;

/// What a folder of images holds and no reader takes (names, dangling links, deeper folders).
struct LeftOut {
  std::int64_t count = 0;
  std::string first;  ///< with the reason and what to do
};
[[nodiscard]] LeftOut left_out_of_image_folder(const std::string& folder);

/// The same without refusing: `on_problem` is told of each class without images, or line that is no
/// line of a list, and may throw. Nothing is left out but these. Throws DataError where there is no
/// folder, list or image at all.
[[nodiscard]] std::shared_ptr<const ImageFiles> scan_image_folder(
    const std::string& folder, const OnImageSetProblem& on_problem);
[[nodiscard]] std::shared_ptr<const ImageFiles> scan_image_list(
    const std::string& lst_path, const OnImageSetProblem& on_problem);

}  // namespace diffprob::data
