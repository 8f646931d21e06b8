#include <algorithm>
#include <map>
#include <sstream>

#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {
namespace {

std::map<std::string, std::string> lines_of(const std::string& settings) {
  std::map<std::string, std::string> lines;
  std::istringstream in(settings);
  for (std::string line; std::getline(in, line);) {
    const auto equals = line.find('=');
    if (equals != std::string::npos) lines[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return lines;
}

bool covers(const std::vector<std::string>& allowed, const std::string& key) {
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& a) { return key == a || key.starts_with(a + "."); });
}

}  // namespace

std::vector<std::string> settings_differences(const std::string& then, const std::string& now,
                                              const std::vector<std::string>& allowed) {
  const auto before = lines_of(then);
  const auto after = lines_of(now);
  std::vector<std::string> differences;
  for (const auto& [key, value] : after) {
    if (covers(allowed, key)) continue;
    const auto old = before.find(key);
    if (old == before.end())
      differences.push_back(key + ": was not there, is " + value);
    else if (old->second != value)
      differences.push_back(key + ": was " + old->second + ", is " + value);
  }
  for (const auto& [key, value] : before) {
    if (!after.contains(key) && !covers(allowed, key))
      differences.push_back(key + ": was " + value + ", is gone");
  }
  return differences;
}

}  // namespace diffprob::launch
