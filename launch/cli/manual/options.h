#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// What can stand on the command line of a command: a key of the configuration, or a flag.
struct Option {
  std::string name;                 ///< "--train.lr=", or "--dry-run" where no value follows
  std::string help;                 ///< of keys of the configuration; else empty
  std::vector<std::string> values;  ///< the words that it takes, if these are known
  bool is_path = false;             ///< takes a file or a folder
};

/// Options of a command, sorted by name: the keys that it reads, from the schema, and what its help
/// text names.
[[nodiscard]] std::vector<Option> options_of(const std::string& command);

/// Words that follow a command: actions of `data`, topics of `help`, shells of `completion`. Empty
/// for commands that take files.
[[nodiscard]] std::vector<std::string> words_after(const std::string& command);

}  // namespace diffprob::launch
