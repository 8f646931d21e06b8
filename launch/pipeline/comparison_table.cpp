#include "launch/pipeline/comparison_table.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "launch/observe/text_table.h"

namespace diffprob::launch {
namespace {

/// A method may keep this share of images more or fewer than random before the table says so.
constexpr double kSameSize = 0.02;

bool of_other_size(const ComparedCell& row) {
  return std::abs(row.images_beyond_random) > kSameSize;
}

/// In %, or in points of % with a sign.
std::string interval_text(const eval::Interval& interval, const char* mean_format) {
  std::string text = fmt::format(fmt::runtime(mean_format), 100 * interval.mean);
  if (interval.half_width) text += fmt::format(" +- {:.2f}", 100 * *interval.half_width);
  return text;
}

std::vector<std::string> cells_of(const ComparedCell& row) {
  std::vector<std::string> cells = {
      row.cell->method, fmt::format("{:g} %", 100 * row.cell->ratio),
      fmt::format("{:.0f}{}", row.images, of_other_size(row) ? "*" : ""),
      fmt::format("{:.0f}", row.identities), fmt::format("{:.0f}", row.mislabelled)};
  for (const auto& set : row.sets) cells.push_back(interval_text(set, "{:.2f}"));
  if (row.sets.size() > 1) cells.push_back(interval_text(row.accuracy, "{:.2f}"));
  cells.push_back(row.difference ? interval_text(*row.difference, "{:+.2f}") : "-");
  cells.push_back(verdict_name(row.verdict));
  return cells;
}

std::string explanation(const std::vector<ComparedCell>& rows) {
  std::size_t compared = 0;
  bool other_size = false;
  for (const auto& row : rows) {
    compared += row.difference && row.difference->has_spread() ? 1 : 0;
    other_size = other_size || of_other_size(row);
  }
  std::string text = fmt::format(
      "\n"
      "  Accuracy in %: mean over {} seed{} +- half its 95 % interval (Student). minus random: "
      "difference from random at the\n"
      "  same ratio, in points, with its 95 % interval (Welch); better, worse: that interval lies "
      "entirely above, below 0.\n",
      rows.front().cell->runs.size(), rows.front().cell->runs.size() == 1 ? "" : "s");
  if (compared > 1) {
    text += fmt::format(
        "  {} comparisons, each at 95 %: about {:.1f} of them look better or worse by chance.\n",
        compared, 0.05 * static_cast<double>(compared));
  }
  if (other_size)
    text +=
        "  * more than 2 % more or fewer images than random: this may explain part of the "
        "difference.\n";
  return text;
}

nlohmann::ordered_json to_json(const eval::Interval& interval) {
  nlohmann::ordered_json json = {{"mean", interval.mean}, {"interval", nullptr}};
  if (interval.half_width)
    json["interval"] = {interval.mean - *interval.half_width, interval.mean + *interval.half_width};
  return json;
}

nlohmann::ordered_json runs_json(const ComparisonCell& cell, const std::vector<std::string>& sets) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& run : cell.runs) {
    nlohmann::ordered_json accuracy = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < sets.size(); ++i) accuracy[sets[i]] = run.accuracy[i];
    list.push_back({{"seed", run.seed},
                    {"images", run.images},
                    {"identities", run.identities},
                    {"mislabelled", run.mislabelled},
                    {"train_seconds", run.train_seconds},
                    {"accuracy", accuracy},
                    {"mean", run.mean_accuracy()}});
  }
  return list;
}

}  // namespace

std::string comparison_text(const std::vector<ComparedCell>& rows,
                            const std::vector<std::string>& sets) {
  std::vector<std::vector<std::string>> lines = {
      {"method", "kept", "images", "identities", "cleaned"}};
  for (const auto& set : sets) lines[0].push_back(set);
  if (sets.size() > 1) lines[0].push_back("mean");
  lines[0].insert(lines[0].end(), {"minus random", "verdict"});
  for (const auto& row : rows) lines.push_back(cells_of(row));
  return text_table(lines) + explanation(rows);
}

nlohmann::ordered_json comparison_json(const std::vector<ComparedCell>& rows,
                                       const std::vector<std::string>& sets) {
  nlohmann::ordered_json json = {{"format_version", 1},
                                 {"confidence", 0.95},
                                 {"sets", sets},
                                 {"cells", nlohmann::ordered_json::array()}};
  for (const auto& row : rows) {
    nlohmann::ordered_json by_set = nlohmann::ordered_json::object();
    for (std::size_t i = 0; i < sets.size(); ++i) by_set[sets[i]] = to_json(row.sets[i]);
    nlohmann::ordered_json cell = {{"method", row.cell->method},
                                   {"ratio", row.cell->ratio},
                                   {"images", row.images},
                                   {"identities", row.identities},
                                   {"mislabelled", row.mislabelled},
                                   {"accuracy", to_json(row.accuracy)},
                                   {"sets", by_set},
                                   {"difference_to_random", nullptr},
                                   {"verdict", verdict_name(row.verdict)},
                                   {"runs", runs_json(*row.cell, sets)}};
    if (row.difference) {
      cell["difference_to_random"] = to_json(*row.difference);
      cell["difference_to_random"]["degrees_of_freedom"] = row.difference->degrees_of_freedom;
      cell["difference_to_random"]["images_beyond_random"] = row.images_beyond_random;
    }
    json["cells"].push_back(cell);
  }
  return json;
}

std::string comparison_csv(const std::vector<ComparedCell>& rows,
                           const std::vector<std::string>& sets) {
  std::string csv = "method,ratio,seed,images,identities,mislabelled,train_seconds";
  for (const auto& set : sets) csv += "," + csv_field(set);
  csv += "\n";
  for (const auto& row : rows) {
    for (const auto& run : row.cell->runs) {
      csv += fmt::format("{},{},{},{},{},{},{}", row.cell->method, row.cell->ratio, run.seed,
                         run.images, run.identities, run.mislabelled, run.train_seconds);
      for (const double accuracy : run.accuracy) csv += fmt::format(",{}", accuracy);
      csv += "\n";
    }
  }
  return csv;
}

}  // namespace diffprob::launch
