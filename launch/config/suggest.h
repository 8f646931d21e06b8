#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// ", did you mean NEAREST?" when one of the known words is near enough to be a slip of the
/// fingers, else "".
[[nodiscard]] std::string suggestion(const std::string& word,
                                     const std::vector<std::string>& known);

}  // namespace diffprob::launch
