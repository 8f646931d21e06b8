#include "launch/observe/json_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "data/files/atomic_file.h"

namespace diffprob::launch {

nlohmann::json read_json(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened: " + std::strerror(errno));
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(path + ": not JSON: " + error.what());
  }
}

void write_json(const std::string& path, const nlohmann::json& value) {
  data::write_file_atomically(path, value.dump(2) + "\n");
}

}  // namespace diffprob::launch
