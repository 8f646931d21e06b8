#include "launch/observe/text_table.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace diffprob::launch {
namespace {

std::string line_of(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += i == 0 ? fmt::format("  {:<{}}", cells[i], widths[i])
                   : fmt::format("  {:>{}}", cells[i], widths[i]);
  }
  return line + "\n";
}

}  // namespace

std::string text_table(const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::size_t> widths(lines.at(0).size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i)
      widths.at(i) = std::max(widths[i], line[i].size());
  }
  std::string table = line_of(lines[0], widths);
  table += "  " + std::string(table.size() - 3, '-') + "\n";
  for (std::size_t i = 1; i < lines.size(); ++i) table += line_of(lines[i], widths);
  return table;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

}  // namespace diffprob::launch
