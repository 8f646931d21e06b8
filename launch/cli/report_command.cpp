#include "launch/cli/report_command.h"

#include <fmt/core.h>

#include <string>
#include <vector>

#include "data/files/atomic_file.h"
#include "launch/cli/commands.h"
#include "launch/report/report.h"

namespace diffprob::launch {

int report_command(const CommandLine& line) {
  std::string file;
  for (const auto& item : line.overrides) {
    if (item.key != "file" || item.value.empty())
      throw ConfigError({"--" + item.key + ": not supported here\n" + help_text("report")});
    file = item.value;
  }
  if (line.positional.empty()) throw ConfigError({"usage:\n" + help_text("report")});
  std::vector<ReportRun> runs;
  for (const auto& path : line.positional) runs.push_back(read_report_run(path));
  if (file.empty()) file = runs.size() == 1 ? line.positional[0] + "/report.html" : "report.html";
  const std::string page = report_html(runs);
  data::write_file_atomically(file, page);
  fmt::print("wrote {} ({:.2f} MB)\n", file, static_cast<double>(page.size()) / 1e6);
  for (const auto& run : runs) {
    for (const auto& note : run.notes) fmt::print("  note on {}: {}\n", run.name, note);
  }
  return 0;
}

}  // namespace diffprob::launch
