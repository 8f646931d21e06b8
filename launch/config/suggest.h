#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// ", did you mean NEAREST?" when one of the known words is near enough to be a slip of the
/// fingers, else "".
[[nodiscard]] std::string suggestion(const std::string& word,
                                     const std::vector<std::string>& known);

/// As suggestion(), for keys of the configuration: also knows what other face recognition trainers
/// (arcface_torch, CVLface) call them.
[[nodiscard]] std::string key_suggestion(const std::string& key,
                                         const std::vector<std::string>& known);

}  // namespace diffprob::launch
