#include "launch/cli/manual/completion.h"

#include <fmt/format.h>

#include <map>

#include "launch/cli/commands.h"
#include "launch/cli/manual/man_page.h"
#include "launch/cli/manual/options.h"

namespace diffprob::launch {
namespace {

constexpr const char* kBash =
    R"(# Completion of diffprob for bash; made by `diffprob completion bash`.
_diffprob() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} key= words= before=
  COMPREPLY=()
  [ "$COMP_CWORD" -lt 2 ] || before=${COMP_WORDS[COMP_CWORD - 1]}
  case "$command ${COMP_WORDS[2]-}" in
    @joined@) command="data ${COMP_WORDS[2]}" ;;
  esac
  # bash cuts words at "=", which is then a word of its own
  if [ "$word" = = ]; then
    key=$before= word=
  elif [ "$before" = = ]; then
    key=${COMP_WORDS[COMP_CWORD - 2]}=
  fi
  if [ -n "$key" ]; then
    case $key in
@values@      @paths@) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    esac
  elif [ "$COMP_CWORD" -eq 1 ]; then
    words='@commands@'
  elif [ "${word#-}" != "$word" ]; then
    case $command in
@options@    esac
  else
    case $COMP_CWORD:$command in
@after@      *) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  case ${COMPREPLY[0]-} in
    *=) compopt -o nospace ;;
  esac
}
complete -F _diffprob diffprob
)";

constexpr const char* kZsh = R"(#compdef diffprob
# Completion of diffprob for zsh; made by `diffprob completion zsh`.
_diffprob() {
  local -a commands keys described after
  local -A meaning
  local command=$words[2] key
  case "$command $words[3]" in
    (@joined@) command="data $words[3]" ;;
  esac
  commands=(
@commands@  )
  if (( CURRENT == 2 )); then
    _describe command commands
  elif [[ $PREFIX == --*=* ]]; then
    key=${PREFIX%%=*}=
    compset -P 1 '*='
    case $key in
@values@      (@paths@) _files ;;
    esac
  elif [[ $PREFIX == -* ]]; then
    case $command in
@options@    esac
    meaning=(
@meanings@    )
    for key in $keys; do described+=("$key:${meaning[$key]}"); done
    _describe -o option described -S ''
  else
    case $CURRENT:$command in
@after@    esac
    if (( $#after )); then compadd -a after; else _files; fi
  fi
}
if [ "$funcstack[1]" = _diffprob ]; then _diffprob "$@"; else compdef _diffprob diffprob; fi
)";

std::string joined(const std::vector<std::string>& words, const char* separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

/// The text as one word of a shell.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? "'\\''" : std::string(1, c);
  return result + "'";
}

std::string filled(std::string text, const std::map<std::string, std::string>& parts) {
  for (const auto& [name, part] : parts) {
    const std::string place = "@" + name + "@";
    for (auto at = text.find(place); at != std::string::npos; at = text.find(place, at))
      text.replace(at, place.size(), part);
  }
  return text;
}

/// What both shells are told.
struct Lists {
  std::vector<std::string> commands;             ///< of one word
  std::vector<std::string> joined;               ///< "data dedup"
  std::map<std::string, std::string> summaries;  ///< of commands
  std::map<std::string, std::vector<std::string>> options;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, std::string> meanings;  ///< of options
  std::vector<std::string> paths;               ///< options
};

Lists make_lists() {
  Lists lists;
  std::map<std::string, bool> paths;
  for (const Command& command : commands()) {
    const bool is_joined = command.name.find(' ') != std::string::npos;
    (is_joined ? lists.joined : lists.commands).push_back(command.name);
    lists.summaries[command.name] = command.summary;
    for (const Option& option : options_of(command.name)) {
      lists.options[command.name].push_back(option.name);
      if (!option.values.empty()) lists.values[option.name] = option.values;
      if (!option.help.empty()) lists.meanings[option.name] = option.help;
      if (option.is_path && option.values.empty()) paths[option.name] = true;
    }
  }
  for (const auto& [name, is_path] : paths) lists.paths.push_back(name);
  return lists;
}

std::string joined_patterns(const Lists& lists) {
  std::vector<std::string> patterns;
  for (const auto& name : lists.joined) patterns.push_back('"' + name + '"');
  return joined(patterns, " | ");
}

}  // namespace

std::string bash_completion() {
  const Lists lists = make_lists();
  std::string values, options, after;
  for (const auto& [name, words] : lists.values)
    values += fmt::format("      {}) words='{}' ;;\n", name, joined(words, " "));
  for (const auto& [name, words] : lists.options)
    options += fmt::format("      {}) words='{}' ;;\n", quoted(name), joined(words, " "));
  for (const auto& name : lists.commands) {
    const auto words = words_after(name);
    if (!words.empty())
      after += fmt::format("      2:{}) words='{}' ;;\n", name, joined(words, " "));
  }
  return filled(kBash, {{"joined", joined_patterns(lists)},
                        {"commands", joined(lists.commands, " ")},
                        {"values", values},
                        {"paths", joined(lists.paths, " | ")},
                        {"options", options},
                        {"after", after}});
}

std::string zsh_completion() {
  const Lists lists = make_lists();
  std::string names, values, options, meanings, after;
  for (const auto& name : lists.commands)
    names += "    " + quoted(name + ":" + lists.summaries.at(name)) + "\n";
  for (const auto& [name, words] : lists.values)
    values += fmt::format("      ({}) compadd {} ;;\n", name, joined(words, " "));
  for (const auto& [name, words] : lists.options)
    options += fmt::format("      ({}) keys=({}) ;;\n", quoted(name), joined(words, " "));
  for (const auto& [name, meaning] : lists.meanings)
    meanings += fmt::format("      {} {}\n", quoted(name), quoted(meaning));
  for (const auto& name : lists.commands) {
    const auto words = words_after(name);
    if (!words.empty())
      after += fmt::format("      (3:{}) after=({}) ;;\n", name, joined(words, " "));
  }
  return filled(kZsh, {{"joined", joined_patterns(lists)},
                       {"commands", names},
                       {"values", values},
                       {"paths", joined(lists.paths, "|")},
                       {"options", options},
                       {"meanings", meanings},
                       {"after", after}});
}

int completion_command(const CommandLine& line) {
  const std::string kind = line.positional.size() == 1 ? line.positional[0] : "";
  if (kind == "bash")
    fmt::print("{}", bash_completion());
  else if (kind == "zsh")
    fmt::print("{}", zsh_completion());
  else if (kind == "man")
    fmt::print("{}", man_page());
  else
    throw ConfigError({"usage:\n" + help_text("completion")});
  return 0;
}

}  // namespace diffprob::launch
