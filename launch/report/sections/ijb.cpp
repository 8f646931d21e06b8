// IJB in the part "Verification": ROC curves and rates.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "eval/metrics/confidence.h"
#include "eval/page/plot.h"
#include "eval/page/table.h"
#include "launch/report/json.h"
#include "launch/report/models.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

/// A set with a way of pooling: a plot and some rows of the table.
struct IjbCase {
  std::string set;
  std::string variant;
  friend bool operator==(const IjbCase&, const IjbCase&) = default;
};

/// What a training has on a case, or null.
const nlohmann::json* measured(const ReportTraining& training, const IjbCase& wanted) {
  if (!training.ijb.is_array()) return nullptr;
  for (const auto& set : training.ijb) {
    if (text_at(set, "protocol") != wanted.set) continue;
    for (const auto& variant : value_at(set, "variants"))
      if (text_at(variant, "variant") == wanted.variant) return &variant;
  }
  return nullptr;
}

std::vector<IjbCase> cases_of(const ReportRuns& runs) {
  std::vector<IjbCase> cases;
  for (const auto& run : runs) {
    for (const auto& training : run.trainings) {
      if (!training.ijb.is_array()) continue;
      for (const auto& set : training.ijb) {
        for (const auto& variant : value_at(set, "variants")) {
          const IjbCase found{text_at(set, "protocol"), text_at(variant, "variant")};
          if (std::find(cases.begin(), cases.end(), found) == cases.end()) cases.push_back(found);
        }
      }
    }
  }
  return cases;
}

eval::Plot roc_plot(const ReportRuns& runs, const ReportRun& run, const std::vector<ModelRow>& rows,
                    const IjbCase& shown) {
  eval::Plot plot{
      fmt::format("ROC: {}, {}{}", shown.set, shown.variant, run_suffix(runs, run)),
      "True accept rate of pairs of templates against false accept rate on a logarithmic axis; "
      "higher is better.",
      {"false accept rate", true, {}, 1.0},
      {"true accept rate", false, 0.0, 1.0},
      {},
      {}};
  for (const auto& row : rows) {
    if (row.model == "untrained") continue;
    for (const auto* training : row.trainings) {
      const auto* found = measured(*training, shown);
      if (found == nullptr) continue;
      const auto& curve = value_at(*found, "roc");
      const std::vector<double> far = numbers_at(curve, "far"), tar = numbers_at(curve, "tar");
      if (far.empty() || far.size() != tar.size()) continue;
      const bool first = training == row.trainings.front();
      plot.series.push_back({first ? row.model : "", far, tar, eval::Series::Kind::kLine,
                             row.colour, false, false, !first});
    }
  }
  return plot;
}

std::string mean_text(const std::vector<double>& values, double scale, int digits) {
  const double mean = eval::estimate(values).mean;
  return std::isfinite(mean) ? fmt::format("{:.{}f}", scale * mean, digits) : "-";
}

/// A cell of the table: mean over the seeds, in brackets when the FAR says nothing.
eval::TableCell tar_cell(const std::vector<const nlohmann::json*>& seeds, std::size_t far) {
  std::vector<double> nearest, strict;
  bool meaningful = true;
  for (const auto* seed : seeds) {
    const auto& list = value_at(*seed, "tar_at_far");
    if (!list.is_array() || far >= list.size()) continue;
    nearest.push_back(number_at(list[far], "tar_nearest"));
    strict.push_back(number_at(list[far], "tar"));
    const auto& flag = value_at(list[far], "meaningful");
    meaningful = meaningful && flag.is_boolean() && flag.get<bool>();
  }
  const std::string text = mean_text(nearest, 100, 2), below = mean_text(strict, 100, 2);
  std::string small = text == below ? "" : "not above: " + below;
  if (nearest.size() > 1)
    small += fmt::format("{}\u00b1 {:.2f}", small.empty() ? "" : "; ",
                         100 * eval::estimate(nearest).deviation);
  return {meaningful ? text : "(" + text + ")", small, ""};
}

void add_rates(eval::Table& table, const std::string& run, const ModelRow& row,
               const IjbCase& shown) {
  std::vector<const nlohmann::json*> seeds;
  std::vector<double> auc, eer;
  for (const auto* training : row.trainings) {
    const auto* found = measured(*training, shown);
    if (found == nullptr) continue;
    seeds.push_back(found);
    auc.push_back(number_at(*found, "auc"));
    eer.push_back(number_at(*found, "eer"));
  }
  if (seeds.empty() || row.model == "untrained") return;
  const auto& fars = value_at(*seeds.front(), "tar_at_far");
  if (table.rows.empty()) {
    for (std::size_t i = 0; fars.is_array() && i < fars.size(); ++i)
      table.head.push_back(fmt::format("{:.0e}", number_at(fars[i], "far")));
  }
  std::vector<eval::TableCell> cells = {
      {row.model, run, ""},
      {shown.set + " " + shown.variant,
       fmt::format("{:.0f} impostor pairs", number_at(*seeds.front(), "impostors")), "words"},
      {mean_text(auc, 1, 4), "", ""},
      {mean_text(eer, 100, 2), "", ""}};
  for (std::size_t i = 0; fars.is_array() && i < fars.size(); ++i)
    cells.push_back(tar_cell(seeds, i));
  table.rows.push_back(std::move(cells));
}

}  // namespace

void write_ijb(eval::HtmlWriter& html, const ReportRuns& runs) {
  const auto cases = cases_of(runs);
  if (cases.empty()) return;
  eval::Table table{
      "IJB: true accept rate in % at false accept rates, at the nearest point of the ROC as in the "
      "reference's tables, and at the best point not above where that differs. Brackets: the rate "
      "allows fewer than one impostor pair.",
      {"model", "set", "AUC", "EER"},
      {}};
  html.open("div", {{"class", "plots"}});
  for (const auto& shown : cases) {
    for (const auto& run : runs) {
      const auto rows = model_rows(run);
      const eval::Plot plot = roc_plot(runs, run, rows, shown);
      if (!plot.series.empty()) eval::write_plot(html, plot);
      for (const auto& row : rows) add_rates(table, runs.size() > 1 ? run.name : "", row, shown);
    }
  }
  html.close("div");
  if (!table.rows.empty()) eval::write_table(html, table);
}

}  // namespace diffprob::launch
