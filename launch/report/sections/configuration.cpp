// The part "Configuration".
#include <algorithm>
#include <map>

#include "eval/page/table.h"
#include "launch/config/fields.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

/// "section.key" -> value, of the keys whose value is not empty.
std::map<std::string, std::string> keys_of(Config config) {
  std::map<std::string, std::string> keys;
  for (const Field& field : config_fields(config)) {
    const std::string value = value_text(field);
    if (!value.empty()) keys[field.key] = value;
  }
  return keys;
}

void write_changed_keys(eval::HtmlWriter& html, const ReportRuns& runs) {
  eval::Table table{"Configuration keys that differ", {"key"}, {}};
  std::vector<std::map<std::string, std::string>> all;
  for (const auto& run : runs) {
    if (!run.config) return;
    table.head.push_back(run.name);
    all.push_back(keys_of(*run.config));
  }
  for (const auto& [key, value] : all.front()) {
    const bool same = std::all_of(all.begin(), all.end(),
                                  [&, k = key, v = value](auto& keys) { return keys[k] == v; });
    if (same) continue;
    std::vector<eval::TableCell> cells = {{key, "", ""}};
    for (auto& keys : all) cells.push_back({keys[key], "", "wrap"});
    table.rows.push_back(std::move(cells));
  }
  eval::write_table(html, table);
}

}  // namespace

void write_configuration(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "configuration", "Configuration");
  if (runs.size() > 1) write_changed_keys(html, runs);
  for (const auto& run : runs) {
    if (run.config_text.empty()) {
      html.element("p", "No configuration in " + run.name + ".", {{"class", "note"}});
      continue;
    }
    html.open("details").element("summary", "All keys of " + run.path);
    html.open("pre").element("code", run.config_text).close("pre").close("details");
  }
}

}  // namespace diffprob::launch
