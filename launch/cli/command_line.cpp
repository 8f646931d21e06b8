#include <algorithm>
#include <charconv>
#include <iterator>
#include <stdexcept>

#include "launch/cli/commands.h"
#include "launch/config/paths.h"
#include "launch/config/suggest.h"

namespace diffprob::launch {
namespace {

/// Keys of the commands that read no configuration, whose values are paths.
constexpr const char* kPathKeys[] = {"data",   "labels", "subset", "kept",
                                     "repair", "report", "file",   "head"};

/// --dry-run=RANKS: what a job of so many ranks needs, from another one.
void set_dry_ranks(const std::string& text, CommandLine& line, std::vector<std::string>& problems) {
  constexpr int kMost = 1'000'000;
  line.flags.push_back("dry-run");
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, line.dry_ranks);
  if (error != std::errc() || rest != end || line.dry_ranks < 1 || line.dry_ranks > kMost)
    problems.push_back("--dry-run: expected a number of ranks, 1 to " + std::to_string(kMost) +
                       ", got \"" + printable(text) + '"');
}

/// The key of the configuration that a short flag stands for, or the key itself.
std::string full_key(const std::string& command, const std::string& key) {
  if (key == "profile") return "train.profile_steps";
  if (key == "json") return "eval.json";
  if (command == "eval" && (key == "scores" || key == "roc")) return "eval." + key;
  return key;
}

/// Makes "data dedup" one command: unlike the other actions of data it runs on ranks, and reads a
/// configuration.
void join_command(CommandLine& line) {
  const bool asks = line.command == "help" && line.positional.size() == 2;
  if (line.positional.empty() || (line.command != "data" && !asks)) return;
  const std::string name = asks ? line.positional[0] + ' ' + line.positional[1]
                                : line.command + ' ' + line.positional[0];
  if (find_command(name) == nullptr) return;
  line.positional.erase(line.positional.begin());
  (asks ? line.positional[0] : line.command) = name;
}

/// Expands the paths that commands without a configuration take: shells leave "--file=~/x" alone.
void expand_paths(CommandLine& line, std::vector<std::string>& problems) {
  for (Override& item : line.overrides) {
    const bool is_root = line.command == "data" && item.key == "data.root";
    if (!is_root && std::ranges::find(kPathKeys, item.key) == std::end(kPathKeys)) continue;
    try {
      if (has_control_characters(item.value))
        throw std::invalid_argument("expected text on one line, without control characters");
      item.value = expand_path(item.value);
    } catch (const std::invalid_argument& error) {
      problems.push_back("--" + item.key + ": " + error.what() + ", got \"" +
                         printable(item.value) + '"');
    }
  }
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
  CommandLine line;
  std::vector<std::string> problems;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (!word.starts_with("--")) {
      if (word == "-h")
        line.flags.push_back("help");
      else if (line.command.empty())
        line.command = word;
      else
        line.positional.push_back(word);
    } else if (const auto equals = word.find('='); equals != std::string::npos) {
      if (const std::string key = word.substr(2, equals - 2); key == "dry-run")
        set_dry_ranks(word.substr(equals + 1), line, problems);
      else
        line.overrides.push_back({key, word.substr(equals + 1)});
    } else {
      line.flags.push_back(word.substr(2));
    }
  }
  join_command(line);
  for (Override& item : line.overrides) item.key = full_key(line.command, item.key);
  expand_paths(line, problems);
  std::vector<std::string> known = {"help", "dry-run", "print-defaults", "version"};
  if (line.command == "export") known.push_back("fold-bn");
  for (const auto& flag : line.flags) {
    if (std::find(known.begin(), known.end(), flag) == known.end()) {
      problems.push_back("--" + flag + ": unknown flag" + suggestion(flag, known) +
                         " (keys are given as --section.key=value)");
    }
  }
  if (!line.command.empty() && find_command(line.command) == nullptr) {
    std::vector<std::string> names;
    for (const Command& command : commands()) names.push_back(command.name);
    problems.push_back(line.command + ": unknown command" + suggestion(line.command, names) +
                       " (diffprob help lists them)");
  }
  if (!problems.empty()) throw ConfigError(problems);
  return line;
}

}  // namespace diffprob::launch
