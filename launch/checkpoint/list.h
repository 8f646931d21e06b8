#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// Returns true if `path` is a folder of checkpoints (OUTPUT/checkpoints), false if it is a
/// checkpoint, a file or something else.
[[nodiscard]] bool holds_checkpoints(const std::string& path);

/// Paths of the checkpoints step_* of a folder, by rising step. What is renamed or unfinished
/// (*.broken, *.tmp.*) is not among them. Throws c10::Error when there is none, and naming all that
/// are broken: an unreadable manifest, a file that is missing or has another size. Digests are not
/// computed. Not collective.
[[nodiscard]] std::vector<std::string> list_checkpoints(const std::string& folder);

}  // namespace diffprob::launch
