#include "launch/pipeline/summary.h"

#include <spdlog/fmt/fmt.h>
#include <algorithm>

#include "eval/metrics/confidence.h"
#include "launch/observe/progress.h"
#include "launch/observe/text_table.h"

namespace diffprob::launch {
namespace {

struct Group {
  std::string name;
  std::vector<const SummaryRow*> rows;
};

std::vector<Group> group_by_name(const std::vector<SummaryRow>& rows) {
  std::vector<Group> groups;
  for (const auto& row : rows) {
    const auto found = std::find_if(groups.begin(), groups.end(),
                                    [&](const auto& g) { return g.name == row.name; });
    if (found == groups.end())
      groups.push_back({row.name, {&row}});
    else
      found->rows.push_back(&row);
  }
  return groups;
}

std::string accuracy_cell(const Group& group, std::size_t set) {
  std::vector<double> accuracies;
  for (const auto* row : group.rows) accuracies.push_back(row->accuracy[set]);
  const eval::Estimate seeds = eval::estimate(accuracies);
  if (seeds.count == 1) return fmt::format("{:.2f} %", 100 * seeds.mean);
  return fmt::format("{:.2f} +- {:.2f} % ({})", 100 * seeds.mean, 100 * seeds.deviation,
                     seeds.count);
}

std::vector<std::string> cells_of(const Group& group) {
  double images = 0, identities = 0, seconds = 0;
  for (const auto* row : group.rows) {
    images += static_cast<double>(row->images);
    identities += static_cast<double>(row->identities);
    seconds += row->train_seconds;
  }
  const auto n = static_cast<double>(group.rows.size());
  std::vector<std::string> cells = {group.name,
                                    images > 0 ? fmt::format("{:.0f}", images / n) : "-",
                                    identities > 0 ? fmt::format("{:.0f}", identities / n) : "-",
                                    seconds > 0 ? format_duration(seconds / n) : "-"};
  for (std::size_t set = 0; set < group.rows[0]->sets.size(); ++set)
    cells.push_back(accuracy_cell(group, set));
  return cells;
}

}  // namespace

std::string summary_table(const std::vector<SummaryRow>& rows) {
  std::vector<std::vector<std::string>> lines = {{"model", "images", "identities", "training"}};
  if (!rows.empty()) {
    for (const auto& set : rows[0].sets) lines[0].push_back(set);
  }
  for (const auto& group : group_by_name(rows)) lines.push_back(cells_of(group));
  return text_table(lines);
}

nlohmann::json summary_json(const std::vector<SummaryRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& row : rows) {
    nlohmann::json accuracy = nlohmann::json::object();
    for (std::size_t i = 0; i < row.sets.size(); ++i) accuracy[row.sets[i]] = row.accuracy[i];
    list.push_back({{"model", row.name},
                    {"images", row.images},
                    {"identities", row.identities},
                    {"train_seconds", row.train_seconds},
                    {"accuracy", accuracy}});
  }
  return list;
}

}  // namespace diffprob::launch
