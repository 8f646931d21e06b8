#pragma once

#include <string>

namespace diffprob::launch {

/// diffprob(1), in the macros of man(7): the help of every command, then every key of the
/// configuration.
[[nodiscard]] std::string man_page();

}  // namespace diffprob::launch
