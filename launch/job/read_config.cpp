#include "launch/job/read_config.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "data/error.h"
#include "data/files/text_lines.h"

namespace diffprob::launch {

std::string read_config_text(const CommandLine& line) {
  if (line.positional.empty()) return "";
  if (line.positional.size() > 1) {
    throw ConfigError({"expected one configuration file, got " + line.positional[0] + " and " +
                       line.positional[1]});
  }
  errno = 0;
  std::ifstream file(line.positional[0]);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf()))
    throw ConfigError({line.positional[0] + ": cannot be read" +
                       (errno != 0 ? std::string(": ") + std::strerror(errno) : "") +
                       " (expected a YAML file; launch/configs has examples)"});
  try {
    return std::string(data::text_body(text.str(), line.positional[0]));
  } catch (const data::DataError& error) {
    throw ConfigError({error.what()});
  }
}

Config read_config(const CommandLine& line) {
  return parse_config(line.positional.empty() ? "" : line.positional[0], read_config_text(line),
                      line.overrides);
}

}  // namespace diffprob::launch
