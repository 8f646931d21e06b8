#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/config/config.h"

namespace diffprob::launch {

using Keys = std::vector<std::string_view>;

/// Returns true if the list names a key, or its section ("train."). "!key" takes a key back that
/// an entry before it has named.
[[nodiscard]] bool is_among(const std::string& key, const Keys& keys);

/// Keys that have an effect only under a condition on other keys.
struct Condition {
  Keys keys;
  std::function<bool(const Config&)> holds;
  std::function<std::string(const Config&)> unless;  ///< why there is no effect
};

/// Those of the keys that a command reads.
[[nodiscard]] std::vector<Condition> conditions_of(const std::string& command);

}  // namespace diffprob::launch
