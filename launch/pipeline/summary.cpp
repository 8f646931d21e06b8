#include "launch/pipeline/summary.h"

#include <spdlog/fmt/fmt.h>
#include <algorithm>
#include <cmath>

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

/// "85.00 +- 7.07 % (2)", or "85.00 %" for one value.
std::string seeds_text(const std::vector<double>& values, const char* unit, int digits) {
  const eval::Estimate seeds = eval::estimate(values);
  if (!std::isfinite(seeds.mean)) return "-";
  if (seeds.count == 1) return fmt::format("{:.{}f}{}", seeds.mean, digits, unit);
  return fmt::format("{:.{}f} +- {:.{}f}{} ({})", seeds.mean, digits, seeds.deviation, digits, unit,
                     seeds.count);
}

std::string accuracy_cell(const Group& group, std::size_t set) {
  std::vector<double> accuracies;
  for (const auto* row : group.rows) accuracies.push_back(100 * row->accuracy[set]);
  return seeds_text(accuracies, " %", 2);
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

bool knows_xnorm(const SummaryRow& row) {
  return !row.sets.empty() && row.xnorm.size() == row.sets.size() &&
         std::ranges::all_of(row.xnorm, [](double norm) { return std::isfinite(norm); });
}

/// Mean length of the embeddings on each set; "" when no row knows it.
std::string xnorm_table(const std::vector<Group>& groups) {
  std::vector<std::vector<std::string>> lines;
  for (const auto& group : groups) {
    if (!std::ranges::all_of(group.rows, [](const auto* row) { return knows_xnorm(*row); }))
      continue;
    if (lines.empty()) {
      lines.push_back({"XNorm"});
      for (const auto& set : group.rows[0]->sets) lines[0].push_back(set);
    }
    lines.push_back({group.name});
    for (std::size_t set = 0; set < group.rows[0]->sets.size(); ++set) {
      std::vector<double> norms;
      for (const auto* row : group.rows) norms.push_back(row->xnorm[set]);
      lines.back().push_back(seeds_text(norms, "", 3));
    }
  }
  return lines.empty() ? "" : "\n" + text_table(lines);
}

/// What a row has measured on an IJB set with a pooling variant; null when it has not.
const nlohmann::json* ijb_of(const SummaryRow& row, const nlohmann::json& protocol,
                             const nlohmann::json& variant) {
  for (const auto& set : row.ijb) {
    if (set.at("protocol") != protocol) continue;
    for (const auto& each : set.at("variants"))
      if (each.at("variant") == variant) return &each;
  }
  return nullptr;
}

std::vector<std::string> ijb_cells(const Group& group, const nlohmann::json& protocol,
                                   const nlohmann::json& variant, std::size_t fars) {
  std::vector<std::string> cells = {group.name};
  for (std::size_t far = 0; far < fars; ++far) {
    std::vector<double> tars;
    bool meaningful = true;
    for (const auto* row : group.rows) {
      const auto* measured = ijb_of(*row, protocol, variant);
      if (measured == nullptr) continue;
      const auto& at = measured->at("tar_at_far").at(far);
      if (at.at("tar_nearest").is_number())
        tars.push_back(100 * at.at("tar_nearest").get<double>());
      meaningful = meaningful && at.at("meaningful").get<bool>();
    }
    const std::string text = seeds_text(tars, "", 2);
    cells.push_back(meaningful || text == "-" ? text : "(" + text + ")");
  }
  return cells;
}

/// A table per IJB set and pooling variant; "" when no row knows any.
std::string ijb_tables(const std::vector<Group>& groups) {
  const auto measured =
      std::ranges::find_if(groups, [](const auto& group) { return !group.rows[0]->ijb.empty(); });
  if (measured == groups.end()) return "";
  std::string text;
  for (const auto& set : measured->rows[0]->ijb) {
    for (const auto& variant : set.at("variants")) {
      std::vector<std::vector<std::string>> lines = {
          {fmt::format("{} {}", set.at("protocol").get<std::string>(),
                       variant.at("variant").get<std::string>())}};
      for (const auto& at : variant.at("tar_at_far"))
        lines[0].push_back(fmt::format("{:.0e}", at.at("far").get<double>()));
      for (const auto& group : groups) {
        if (!group.rows[0]->ijb.empty())
          lines.push_back(ijb_cells(group, set.at("protocol"), variant.at("variant"),
                                    variant.at("tar_at_far").size()));
      }
      text += "\n" + text_table(lines);
    }
  }
  return text +
         "  TAR in % at the point of the ROC nearest to the FAR, as in the reference's tables;\n"
         "  (x): the FAR allows fewer than one impostor, so x says little\n";
}

/// Without curves and identification, which are in the files of the stage.
nlohmann::json ijb_summary(const SummaryRow& row) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& set : row.ijb) {
    for (const auto& variant : set.at("variants"))
      list.push_back({{"set", set.at("protocol")},
                      {"variant", variant.at("variant")},
                      {"auc", variant.at("auc")},
                      {"eer", variant.at("eer")},
                      {"tar_at_far", variant.at("tar_at_far")}});
  }
  return list;
}

/// Mean accuracy in % of all sets and seeds, and mean number of images.
struct Level {
  double accuracy = 0;
  double images = 0;
};

Level level_of(const Group& group) {
  Level level;
  double values = 0;
  for (const auto* row : group.rows) {
    level.images += static_cast<double>(row->images) / static_cast<double>(group.rows.size());
    for (const double accuracy : row->accuracy) {
      level.accuracy += 100 * accuracy;
      ++values;
    }
  }
  level.accuracy /= values;
  return level;
}

/// "2.80 points below original".
std::string difference_text(const Level& mine, const Level& other, const std::string& name) {
  const double points = mine.accuracy - other.accuracy;
  return fmt::format("{:.2f} points {} {}", std::abs(points), points < 0 ? "below" : "above", name);
}

}  // namespace

std::string summary_sentence(const std::vector<SummaryRow>& rows) {
  if (rows.empty() || rows[0].sets.empty()) return "";
  const std::vector<Group> groups = group_by_name(rows);
  const auto find = [&](const std::string& name) {
    return std::ranges::find_if(groups, [&](const Group& group) { return group.name == name; });
  };
  const auto original = find("original"), random = find("random");
  if (original == groups.end()) return "";
  std::string text;
  for (const Group& group : groups) {
    if (group.name == "untrained" || group.name == "original" || group.name == "random") continue;
    const Level mine = level_of(group), all = level_of(*original);
    text += fmt::format("  {} trained on {:.1f} % of the images: accuracy {}", group.name,
                        100 * mine.images / all.images, difference_text(mine, all, "original"));
    if (random != groups.end())
      text += ",\n  and " + difference_text(mine, level_of(*random), "as many images at random");
    text += ".\n";
  }
  if (!text.empty() && groups.back().rows.size() == 1)
    text += "  With one seed, a point or two may be chance: diffprob sweep gives intervals.\n";
  return text.empty() ? "" : "\n" + text;
}

std::string summary_table(const std::vector<SummaryRow>& rows) {
  std::vector<std::vector<std::string>> lines = {{"model", "images", "identities", "training"}};
  if (!rows.empty()) {
    for (const auto& set : rows[0].sets) lines[0].push_back(set);
  }
  const std::vector<Group> groups = group_by_name(rows);
  for (const auto& group : groups) lines.push_back(cells_of(group));
  return text_table(lines) + xnorm_table(groups) + ijb_tables(groups);
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
    for (std::size_t i = 0; knows_xnorm(row) && i < row.sets.size(); ++i)
      list.back()["xnorm"][row.sets[i]] = row.xnorm[i];
    if (!row.ijb.empty()) list.back()["ijb"] = ijb_summary(row);
  }
  return list;
}

}  // namespace diffprob::launch
