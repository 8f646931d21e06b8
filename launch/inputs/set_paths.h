#pragma once

#include <string>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::launch {

/// eval.sets as paths. What is no file but a mere name ("lfw", "lfw.bin") is NAME.bin in the folder
/// of a training set, or else in the folder above a training set that is a folder. Names that are
/// not found stay as they are.
[[nodiscard]] std::vector<std::string> set_paths(const Config& config);

/// Why a member of set_paths() is no file: where it was looked for, and what is there.
[[nodiscard]] std::string missing_set(const std::string& path, const Config& config);

}  // namespace diffprob::launch
