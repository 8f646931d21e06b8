#include "launch/job/read_config.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "data/error.h"
#include "data/files/stand_in.h"
#include "data/files/text_lines.h"

namespace diffprob::launch {

std::string read_config_text(const CommandLine& line) {
  if (line.positional.empty()) return "";
  const auto value = std::ranges::find_if(
      line.positional, [](const auto& word) { return word.find('=') != std::string::npos; });
  if (line.positional.size() > 1 && value != line.positional.end())
    throw ConfigError({*value + ": expected one YAML file; a key is given as --" + *value});
  if (line.positional.size() > 1) {
    throw ConfigError({"expected one configuration file, got " + line.positional[0] + " and " +
                       line.positional[1]});
  }
  const std::string& name = line.positional[0];
  errno = 0;
  std::ifstream file(name);
  if (!file && name.find('=') != std::string::npos)
    throw ConfigError({name + ": expected a YAML file; a key is given as --" + name});
  if (file && file.peek() == std::ifstream::traits_type::eof() && !file.bad()) return "";
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw ConfigError({name + ": cannot be read" +
                       (errno != 0 ? std::string(": ") + std::strerror(errno) : "") +
                       " (expected a YAML file; launch/configs has examples)"});
  try {
    data::refuse_stand_in(name);
    return std::string(data::text_body(text.str(), name));
  } catch (const data::DataError& error) {
    throw ConfigError({error.what()});
  }
}

Config read_config(const CommandLine& line) {
  return parse_config(line.positional.empty() ? "" : line.positional[0], read_config_text(line),
                      line.overrides);
}

}  // namespace diffprob::launch
