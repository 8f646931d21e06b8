// In the part "Cleaning and pruning": who loses.
#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "eval/page/table.h"
#include "launch/report/json.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

std::string whole(const nlohmann::json& group, const char* key) {
  const double value = number_at(group, key);
  return std::isfinite(value) ? fmt::format("{:.0f}", value) : "-";
}

std::string share_of(const nlohmann::json& group) {
  const double value = number_at(group, "share");
  return std::isfinite(value) ? fmt::format("{:.1f} %", 100 * value) : "-";
}

std::string size_name(const nlohmann::json& group) {
  const std::string from = whole(group, "from");
  if (value_at(group, "to").is_null()) return from + " or more";
  const std::string to = whole(group, "to");
  return from == to ? from : from + " to " + to;
}

std::string mislabelled_name(const nlohmann::json& group) {
  if (!value_at(group, "mislabelled_percent").is_null()) return "none";
  return "above " + whole(group, "mislabelled_percent_above") + " %";
}

/// The same group of another pruning; null when it has none.
const nlohmann::json& same_group(const nlohmann::json& groups, const nlohmann::json& wanted) {
  static const nlohmann::json none;
  if (!groups.is_array()) return none;
  for (const auto& group : groups) {
    if (value_at(group, "from") == value_at(wanted, "from") &&
        value_at(group, "mislabelled_percent") == value_at(wanted, "mislabelled_percent") &&
        value_at(group, "mislabelled_percent_above") ==
            value_at(wanted, "mislabelled_percent_above"))
      return group;
  }
  return none;
}

/// A row per group of the run's first pruning, a column per pruning.
void write_groups(eval::HtmlWriter& html, const ReportRun& run, const char* key,
                  const std::string& title, const std::string& head,
                  std::string (*name_of)(const nlohmann::json&)) {
  const auto groups_of = [&](const ReportPruning& pruning) -> const nlohmann::json& {
    return value_at(value_at(pruning.summary, "fairness"), key);
  };
  const auto& groups = groups_of(run.prunings.front());
  if (!groups.is_array() || groups.empty()) return;
  eval::Table table{title, {head, "identities", "images"}, {}};
  for (const auto& pruning : run.prunings) table.head.push_back("kept by " + pruning.stage);
  for (const auto& group : groups) {
    std::vector<eval::TableCell> row = {{name_of(group), "", "words"},
                                        {whole(group, "identities"), "", ""},
                                        {whole(group, "samples"), "", ""}};
    for (const auto& pruning : run.prunings)
      row.push_back({share_of(same_group(groups_of(pruning), group)), "", ""});
    table.rows.push_back(std::move(row));
  }
  eval::write_table(html, table);
}

}  // namespace

void write_fairness(eval::HtmlWriter& html, const ReportRuns& runs) {
  for (const auto& run : runs) {
    if (run.prunings.empty()) continue;
    const std::string suffix = run_suffix(runs, run);
    write_groups(html, run, "by_size", "Kept, by images per identity" + suffix,
                 "images per identity", size_name);
    write_groups(html, run, "by_mislabelled",
                 "Kept, by the share of an identity that cleaning removed" + suffix,
                 "removed as mislabelled", mislabelled_name);
  }
}

}  // namespace diffprob::launch
