#include "launch/config/head_group.h"

#include <charconv>

#include "launch/config/config_error.h"

namespace diffprob::launch {

HeadGroup head_group_of(const std::string& text) {
  if (text == "node") return {HeadGroup::Kind::kNode, 0};
  if (text == "auto") return {HeadGroup::Kind::kAuto, 0};
  int ranks = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ranks);
  if (error != std::errc() || end != text.data() + text.size() || ranks < 0)
    throw ConfigError(
        {"model.head_group: expected a number of ranks (0: all), node or auto, got "
         "\"" +
         text + '"'});
  return ranks == 0 ? HeadGroup{} : HeadGroup{HeadGroup::Kind::kRanks, ranks};
}

}  // namespace diffprob::launch
