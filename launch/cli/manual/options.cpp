#include "launch/cli/manual/options.h"

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "launch/cli/commands.h"
#include "launch/cli/help_files.h"
#include "launch/config/fields.h"
#include "launch/config/key_conditions.h"
#include "launch/config/without_effect.h"

namespace diffprob::launch {
namespace {

std::vector<std::string> values_of(const Field& field) {
  if (std::holds_alternative<bool*>(field.target)) return {"true", "false"};
  return field.choices;
}

/// The lower-case words of "insightface|im2rec"; none of "FILE".
std::vector<std::string> words_of(const std::string& value) {
  std::vector<std::string> words;
  if (value.find('|') == std::string::npos) return words;
  std::istringstream parts(value);
  for (std::string word; std::getline(parts, word, '|');)
    if (word.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string::npos)
      words.push_back(word);
  return words;
}

bool is_path_word(const std::string& value) {
  static const std::set<std::string> words = {"FILE", "FILES", "FOLDER", "OUT", "DATASET", "LIST"};
  return words.contains(value) || value.find('/') != std::string::npos ||
         value.find('.') != std::string::npos;
}

/// Keys of the schema that commands without a configuration take.
bool takes_key(const std::string& command, const std::string& key) {
  static const std::map<std::string, Keys> taken = {
      {"data", {"synthetic.", "seed", "data.root", "data.labels", "data.decode_threads"}},
      {"convert", {"data.root"}},
      {"export",
       {"model.checkpoint", "model.head", "model.backbone", "model.embedding_dim",
        "model.channel_order"}}};
  const auto found = taken.find(command);
  return reads_key(command, key) || (found != taken.end() && is_among(key, found->second));
}

/// Options without a section that the help text of a command names and that are not there yet.
void add_named(const std::string& command, std::map<std::string, Option>& options) {
  static const std::regex form("--([a-z][A-Za-z0-9_.-]*)(=([A-Za-z0-9_./|-]*))?");
  const std::string text(help_file(command));
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
    const std::string value = (*at)[3];
    const std::string name = "--" + (*at)[1].str() + ((*at)[2].matched ? "=" : "");
    // A flag in running text may be an option whose value is named elsewhere.
    if (options.contains(name + "=") || name == "--key=" || name.find('.') != std::string::npos)
      continue;
    options.erase(name.substr(0, name.find('=')));
    options.try_emplace(name, Option{name, "", words_of(value), is_path_word(value)});
  }
}

}  // namespace

std::vector<Option> options_of(const std::string& command) {
  Config config;
  std::map<std::string, Option> options;
  for (const Field& field : config_fields(config)) {
    const std::string name = "--" + field.key + "=";
    if (takes_key(command, field.key))
      options[name] = {name, field.help, values_of(field), field.is_path};
  }
  add_named(command, options);
  if (find_command(command)->needs_ranks())
    options["--dry-run"] = {"--dry-run", "check everything and say what it needs", {}, false};
  options["--help"] = {"--help", "show the help of the command", {}, false};
  std::vector<Option> sorted;
  for (auto& [name, option] : options) sorted.push_back(std::move(option));
  return sorted;
}

std::vector<std::string> words_after(const std::string& command) {
  if (command == "completion") return {"bash", "zsh", "man"};
  if (command != "data" && command != "help") return {};
  std::vector<std::string> words;
  if (command == "data") words = {"info", "check", "pack", "apply-proposals", "synth"};
  for (const Command& other : commands()) {
    const auto space = other.name.find(' ');
    if (command == "help" && space == std::string::npos) words.push_back(other.name);
    if (command == "data" && space != std::string::npos)
      words.push_back(other.name.substr(space + 1));
  }
  return words;
}

}  // namespace diffprob::launch
