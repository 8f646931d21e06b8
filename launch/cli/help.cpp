#include <algorithm>
#include <sstream>

#include "launch/cli/commands.h"
#include "launch/cli/help_files.h"
#include "launch/config/help.h"
#include "launch/conversion/convert.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kColumns = 80;
/// Of the list of commands.
constexpr std::size_t kSummaryColumn = 16;

/// Breaks a line at spaces; what follows the first break is indented.
std::string wrapped_line(std::string line, std::size_t indent) {
  std::string text;
  while (line.size() > kColumns) {
    const auto space = line.rfind(' ', kColumns);
    if (space == std::string::npos || space <= indent) break;
    text += line.substr(0, space) + "\n";
    line = std::string(indent, ' ') + line.substr(space + 1);
  }
  return text + line + "\n";
}

std::string wrapped(const std::string& text, std::size_t indent) {
  std::istringstream lines(text);
  std::string result;
  for (std::string line; std::getline(lines, line);) result += wrapped_line(line, indent);
  return result;
}

std::string sections_text() {
  std::string text = " ";
  for (const auto& name : config_sections()) text += " " + name;
  return text;
}

std::string commands_text() {
  std::string text;
  for (const Command& command : commands()) {
    std::string line = "  " + command.name;
    line.resize(kSummaryColumn, ' ');
    text += line + command.summary + "\n";
  }
  return text;
}

/// Replaces a line that holds only {NAME}; the indents are the last columns of the tables.
void fill_in(std::string& text) {
  const auto replace = [&](const std::string& line, std::string (*make)(), std::size_t indent) {
    const auto at = text.find(line);
    if (at != std::string::npos) text.replace(at, line.size(), wrapped(make(), indent));
  };
  replace("{commands}\n", commands_text, kSummaryColumn);
  replace("{methods}\n", prune::methods_text, 34);
  replace("{kinds}\n", kinds_text, 25);
  replace("{sections}\n", sections_text, 2);
}

}  // namespace

std::string help_text(const std::string& command) {
  const Command* const found = find_command(command);
  std::string text = found == nullptr ? "" : found->summary + "\n\n";
  text += help_file(found == nullptr ? "overview" : command);
  fill_in(text);
  return text;
}

}  // namespace diffprob::launch
