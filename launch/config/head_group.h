#pragma once

#include <optional>
#include <string>

namespace diffprob::launch {

/// What model.head_group asks for: how many ranks share one copy of the classes.
struct HeadGroup {
  enum class Kind { kAll, kRanks, kNode, kAuto };
  Kind kind = Kind::kAll;
  int ranks = 0;  ///< kRanks
};

/// "0", "8", "node" or "auto". Throws ConfigError on anything else.
[[nodiscard]] HeadGroup head_group_of(const std::string& text);

}  // namespace diffprob::launch
