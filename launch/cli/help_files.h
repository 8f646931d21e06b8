#pragma once

#include <string_view>

namespace diffprob::launch {

/// Text of launch/cli/help/NAME.txt, which CMake embeds. Empty when there is no such file.
[[nodiscard]] std::string_view help_file(std::string_view name);

}  // namespace diffprob::launch
