#include <algorithm>

#include "data/files/text_lines.h"
#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {
namespace {

bool covers(const std::vector<std::string>& allowed, const std::string& key) {
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& a) { return key == a || key.starts_with(a + "."); });
}

}  // namespace

std::vector<std::string> settings_differences(const std::string& then, const std::string& now,
                                              const std::vector<std::string>& allowed) {
  const auto before = data::parse_key_values(then);
  const auto after = data::parse_key_values(now);
  std::vector<std::string> differences;
  for (const auto& [key, value] : after) {
    if (covers(allowed, key)) continue;
    const auto old = before.find(key);
    if (old == before.end())
      differences.push_back(key + ": was missing, is " + value);
    else if (old->second != value)
      differences.push_back(key + ": was " + old->second + ", is " + value);
  }
  for (const auto& [key, value] : before) {
    if (!after.contains(key) && !covers(allowed, key))
      differences.push_back(key + ": was " + value + ", is missing");
  }
  return differences;
}

}  // namespace diffprob::launch
