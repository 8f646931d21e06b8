#pragma once

#include <string>
#include <vector>

#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Tries a folder that all ranks write to: each writes a file, renames it and looks for that of
/// rank 0, which looks for all. Makes the folder; `leave_nothing`: and removes what it made,
/// unless somebody else has written there meanwhile.
/// Returns this rank's problems, "KEY: what". Collective.
[[nodiscard]] std::vector<std::string> try_folder(const std::string& key, const std::string& folder,
                                                  bool leave_nothing, Runtime& runtime);
/// The same for a folder of this node, by one rank alone. A folder that is not there is not made
/// but its parent tried, so that ranks of one node do not get in each other's way. Not collective.
[[nodiscard]] std::vector<std::string> try_node_folder(const std::string& key,
                                                       const std::string& folder);

}  // namespace diffprob::launch
