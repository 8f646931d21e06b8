#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace diffprob::launch {

/// What is wrong with a configuration or command line: every problem at once. Ends the program with
/// exit code 2.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(const std::vector<std::string>& problems);
  [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }

 private:
  std::vector<std::string> problems_;
};

}  // namespace diffprob::launch
