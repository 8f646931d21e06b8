// The part "Original against pruned" and the overview on top of the page.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cmath>

#include "eval/page/table.h"
#include "launch/observe/progress.h"
#include "launch/report/json.h"
#include "launch/report/models.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

using eval::TableCell;

std::string count_text(double value) {
  return std::isfinite(value) ? fmt::format("{:.0f}", value) : "-";
}

std::string duration_text(double seconds) {
  return std::isfinite(seconds) && seconds > 0 ? format_duration(seconds) : "-";
}

TableCell accuracy_cell(const ModelRow& row, const std::string& set) {
  const eval::Estimate seeds = eval::estimate(seed_accuracies(row, set));
  if (seeds.count == 0) return {"-", "", ""};
  const double folds = fold_deviation(row, set);
  std::string small = std::isfinite(folds) ? fmt::format("folds \u00b1 {:.2f}", 100 * folds) : "";
  if (seeds.count > 1)
    small += fmt::format("{}{} seeds \u00b1 {:.2f}", small.empty() ? "" : ", ", seeds.count,
                         100 * seeds.deviation);
  return {fmt::format("{:.2f} %", 100 * seeds.mean), small, ""};
}

bool is_known(const eval::Interval& interval) {
  return interval.half_width && std::isfinite(*interval.half_width);
}

std::string interval_text(const eval::Interval& difference) {
  if (!std::isfinite(difference.mean)) return "-";
  if (!is_known(difference)) return fmt::format("{:+.2f}", 100 * difference.mean);
  return fmt::format("{:+.2f} \u00b1 {:.2f}", 100 * difference.mean, 100 * *difference.half_width);
}

/// Points of accuracy, by folds and by seeds. Coloured only when every interval that is known
/// excludes 0.
TableCell difference_cell(const ModelRow& row, const ModelRow& base, const std::string& set) {
  const auto a = seed_accuracies(row, set), b = seed_accuracies(base, set);
  if (a.empty() || b.empty()) return {"-", "", ""};
  const eval::Interval seeds = eval::independent_difference(a, b);
  const auto fold_a = fold_accuracies(row, set), fold_b = fold_accuracies(base, set);
  const bool folds_known = !fold_a.empty() && fold_a.size() == fold_b.size();
  const bool seeds_known = is_known(seeds);
  TableCell cell{interval_text(seeds), seeds_known ? "seeds" : "", ""};
  bool clear = seeds_known ? seeds.is_clear() : folds_known;
  if (folds_known) {
    const eval::Interval folds = eval::paired_difference(fold_a, fold_b);
    clear = clear && folds.is_clear();
    if (!seeds_known) cell.text = interval_text(folds);
    cell.small = seeds_known ? "seeds; folds " + interval_text(folds) : "folds";
  }
  if (clear) cell.style = seeds.mean > 0 ? "good" : "bad";
  cell.small += clear ? "; clear" : folds_known || seeds_known ? "; not clear" : "unknown spread";
  return cell;
}

void write_accuracies(eval::HtmlWriter& html, const ReportRuns& runs,
                      const std::vector<std::vector<ModelRow>>& rows,
                      const std::vector<std::string>& sets) {
  eval::Table table{
      "Verification accuracy: mean and standard deviation over folds (population) and, with "
      "several seeds, over seeds (sample)",
      {"model"},
      {}};
  table.head.insert(table.head.end(), sets.begin(), sets.end());
  if (sets.size() > 1) table.head.emplace_back("average");
  table.head.insert(table.head.end(), {"images", "identities", "training"});
  for (std::size_t r = 0; r < runs.size(); ++r) {
    for (const auto& row : rows[r]) {
      std::vector<TableCell> cells = {{row.model, runs.size() > 1 ? runs[r].name : "", ""}};
      for (const auto& set : sets) cells.push_back(accuracy_cell(row, set));
      const double average = average_accuracy(row, sets);
      if (sets.size() > 1)
        cells.push_back(
            {std::isfinite(average) ? fmt::format("{:.2f} %", 100 * average) : "-", "", ""});
      for (const auto& text :
           {count_text(row.images), count_text(row.identities), duration_text(row.seconds)})
        cells.push_back({text, "", ""});
      table.rows.push_back(std::move(cells));
    }
  }
  eval::write_table(html, table);
}

void add_difference(eval::Table& table, const std::string& title, const std::string& small,
                    const ModelRow& row, const ModelRow& base,
                    const std::vector<std::string>& sets) {
  std::vector<TableCell> cells = {{title, small, ""}};
  for (const auto& set : sets) cells.push_back(difference_cell(row, base, set));
  if (std::all_of(cells.begin() + 1, cells.end(),
                  [](const auto& cell) { return cell.text == "-"; }))
    return;
  table.rows.push_back(std::move(cells));
}

void write_differences(eval::HtmlWriter& html, const ReportRuns& runs,
                       const std::vector<std::vector<ModelRow>>& rows,
                       const std::vector<std::string>& sets) {
  eval::Table table{
      "Differences in accuracy in percentage points, with 95 % confidence", {"difference"}, {}};
  for (const auto& set : sets) table.head.push_back(set);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    const std::string small = runs.size() > 1 ? runs[r].name : "";
    const ModelRow* original = find_model(rows[r], "original");
    const ModelRow* random = find_model(rows[r], "random");
    for (const auto& row : rows[r]) {
      if (row.model == "untrained") continue;
      if (original != nullptr && &row != original)
        add_difference(table, row.model + " \u2212 original", small, row, *original, sets);
      if (random != nullptr && &row != random && &row != original)
        add_difference(table, row.model + " \u2212 random", small, row, *random, sets);
    }
  }
  for (std::size_t r = 1; r < runs.size(); ++r) {
    for (const auto& row : rows[r]) {
      const ModelRow* first = find_model(rows[0], row.model);
      if (row.model == "untrained" || first == nullptr) continue;
      add_difference(table, row.model, runs[r].name + " \u2212 " + runs[0].name, row, *first, sets);
    }
  }
  if (table.rows.empty()) return;
  eval::write_table(html, table);
  html.element(
      "p",
      "Over seeds: Welch's interval; a model trained only once is assumed to vary like the other "
      "one. Over folds: paired over the folds of both models, mean over seeds; this shows how much "
      "the choice of test pairs matters, not how much the seed does. \"Clear\" means that every "
      "interval given excludes 0. With many sets and models, some will by chance.",
      {{"class", "note"}});
}

void tile(eval::HtmlWriter& html, const std::string& value, const std::string& label) {
  html.open("div", {{"class", "tile"}}).element("b", value).element("span", label).close("div");
}

void write_tiles(eval::HtmlWriter& html, const ReportRun& run) {
  const auto rows = model_rows(run);
  const auto sets = sets_of(rows);
  const ModelRow* original = find_model(rows, "original");
  const ModelRow* pruned = pruned_model(rows);
  html.open("div", {{"class", "tiles"}});
  if (!run.prunings.empty()) {
    const auto& summary = run.prunings.front().summary;
    const double samples = number_at(summary, "samples"), kept = number_at(summary, "kept"),
                 usable = number_at(summary, "usable");
    if (samples > 0) {
      tile(
          html, fmt::format("{:.1f} %", 100 * kept / samples),
          fmt::format("of {:.0f} images kept ({})", samples, text_at(summary, "method", "pruned")));
      tile(html, count_text(samples - usable), "images removed as mislabelled");
    }
  }
  if (original != nullptr && std::isfinite(average_accuracy(*original, sets))) {
    tile(html, fmt::format("{:.2f} %", 100 * average_accuracy(*original, sets)),
         "accuracy of the original model" +
             std::string(sets.size() > 1 ? ", average of the sets" : ""));
  }
  if (pruned != nullptr && std::isfinite(average_accuracy(*pruned, sets))) {
    tile(html, fmt::format("{:.2f} %", 100 * average_accuracy(*pruned, sets)),
         "accuracy of the model trained on the kept images");
  }
  if (original != nullptr && pruned != nullptr && original->seconds > 0 && pruned->seconds > 0) {
    tile(html, format_duration(pruned->seconds),
         "training on the kept images; on all images " + format_duration(original->seconds));
  }
  html.close("div");
}

}  // namespace

void write_models(eval::HtmlWriter& html, const ReportRuns& runs) {
  write_heading(html, "models", "Original and pruned");
  std::vector<std::vector<ModelRow>> rows;
  std::vector<ModelRow> all;
  for (const auto& run : runs) {
    rows.push_back(model_rows(run));
    all.insert(all.end(), rows.back().begin(), rows.back().end());
  }
  const auto sets = sets_of(all);
  if (all.empty()) {
    html.element("p", "No training in this run.", {{"class", "note"}});
    return;
  }
  write_accuracies(html, runs, rows, sets);
  if (sets.empty()) {
    html.element("p", "No training has been verified.", {{"class", "note"}});
  } else {
    write_differences(html, runs, rows, sets);
  }
}

void write_overview(eval::HtmlWriter& html, const ReportRuns& runs) {
  for (const auto& run : runs) {
    if (runs.size() > 1) html.element("h3", run.name);
    write_tiles(html, run);
    for (const auto& training : run.trainings) {
      const std::string given = text_at(training.result, "given");
      if (!given.empty())
        html.element("p",
                     "The original network was given, not trained in this run: " + given + ".");
    }
    const auto& planted = value_at(run.summary, "planted");
    if (planted.is_object()) {
      html.element(
          "p",
          fmt::format("Planted in the synthetic set: {:.0f} of {:.0f} flipped labels found among "
                      "the {:.0f} images removed by cleaning; {:.1f} % of the pruned images are "
                      "planted near-duplicates, compared with {:.1f} % of all usable images.",
                      number_at(planted, "cleaned_flips"), number_at(planted, "planted_flips"),
                      number_at(planted, "cleaned"),
                      100 * number_at(planted, "pruned_near_duplicates"),
                      100 * number_at(planted, "usable_near_duplicates")));
    }
    if (run.summary.is_null() && run.sweep.is_null() && !run.trainings.empty()) {
      html.element(
          "p", "The run has no final summary: it is not finished, or consisted of a single step.",
          {{"class", "note"}});
    }
    if (run.notes.empty()) continue;
    html.open("details")
        .element("summary", fmt::format("Notes on {}: {}", run.name, run.notes.size()))
        .open("ul", {{"class", "notes"}});
    for (const auto& note : run.notes) html.element("li", note);
    html.close("ul").close("details");
  }
}

}  // namespace diffprob::launch
