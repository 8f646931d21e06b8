#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "data/sets/dataset.h"
#include "data/sets/image_files.h"

namespace diffprob::data {

/// One sub-folder a class, classes in sorted order, images in sorted order (is_image_file). Throws
/// DataError.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_folder(const std::string& folder);

/// Returns true for a name with the ending of a list: .lst, .list or .txt.
[[nodiscard]] bool is_image_list(const std::string& path);
/// A list of any kind in data/sets/list_line.h; labels that are names become classes in sorted
/// order. Paths are relative to `root`, or to the list's folder when that is empty. Throws
/// DataError with the line.
[[nodiscard]] std::shared_ptr<const Dataset> open_image_list(const std::string& lst_path,
                                                             const std::string& root = "");

/// Something for which opening refuses a folder or list.
struct ImageSetProblem {
  std::int64_t label = -1;  ///< class without images; -1: a line of a list
  std::string message;
  bool left_out = false;  ///< a file or folder that no reader takes: opening goes on without it
};
using OnImageSetProblem = std::function<void(const ImageSetProblem&)>;

/// The same without refusing: `on_problem` is told of each class without images, or line that is no
/// line of a list, and may throw, and of what no reader takes. Nothing is left out but these.
/// Throws DataError where there is no folder, list or image at all.
[[nodiscard]] std::shared_ptr<const ImageFiles> scan_image_folder(
    const std::string& folder, const OnImageSetProblem& on_problem);
[[nodiscard]] std::shared_ptr<const ImageFiles> scan_image_list(
    const std::string& lst_path, const std::string& root, const OnImageSetProblem& on_problem);

}  // namespace diffprob::data
