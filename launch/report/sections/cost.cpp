// In the part "Time and memory": what the pruning cost and saves.
#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "eval/page/table.h"
#include "launch/observe/progress.h"
#include "launch/observe/two_digits.h"
#include "launch/report/json.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

std::string count_text(const nlohmann::json& cost, const char* key) {
  const double count = number_at(cost, key);
  return std::isfinite(count) && count > 0 ? fmt::format("{:.0f}", count) : "-";
}

std::string seconds_text(double seconds) {
  return std::isfinite(seconds) && seconds >= 0 ? format_duration(seconds) : "-";
}

std::string name_text(const std::string& name, double stages) {
  return stages > 1 ? fmt::format("{} ({:.0f})", name, stages) : name;
}

void add_part(eval::Table& table, const nlohmann::json& cost, const char* key,
              const std::string& name) {
  const auto& part = value_at(cost, key);
  const double stages = number_at(part, "stages");
  if (!(stages > 0)) return;
  table.rows.push_back({{name_text(name, stages), "", ""},
                        {count_text(part, "images_trained"), "", ""},
                        {count_text(part, "images_left_out"), "", ""},
                        {count_text(part, "images_scored"), "", ""},
                        {seconds_text(number_at(part, "seconds")), "", ""}});
}

std::string pay_back_text(const nlohmann::json& cost) {
  const auto& pays = value_at(cost, "pays_after");
  if (value_at(pays, "never") == true)
    return "The pruning never pays for itself: a training on the kept images is not cheaper. ";
  const double wanted = number_at(pays, "original_wanted"),
               alone = number_at(pays, "for_pruning_alone");
  if (!std::isfinite(wanted) || !std::isfinite(alone)) return "";
  const double seconds = number_at(value_at(cost, "saved_per_training"), "seconds");
  return fmt::format(
      "Each training on the kept images takes {} less than one on all. The pruning is paid for "
      "after {} such trainings where the original training was wanted anyway, and after {} "
      "where it was made for the pruning alone. ",
      seconds_text(seconds), two_digits(wanted), two_digits(alone));
}

std::string bytes_text(const nlohmann::json& cost) {
  const auto& bytes = value_at(cost, "image_bytes");
  const double all = number_at(bytes, "all"), kept = number_at(bytes, "kept");
  if (!(all > 0) || !(kept >= 0)) return "";
  return fmt::format("The kept images take {:.1f} of {:.1f} MB ({:.1f} %).", kept / 1e6, all / 1e6,
                     100 * kept / all);
}

}  // namespace

void write_pruning_cost(eval::HtmlWriter& html, const ReportRuns& runs) {
  for (const auto& run : runs) {
    const auto& cost = value_at(run.summary, "cost");
    if (!cost.is_object()) continue;
    eval::Table table{
        "What the pruning costs" + run_suffix(runs, run) +
            ". Seconds of trainings are without verification and checkpoints, over "
            "all restarts.",
        {"part", "images trained", "left out by train.prune", "images scored", "time"},
        {}};
    add_part(table, cost, "original", "original training");
    add_part(table, cost, "scoring", "scoring");
    add_part(table, cost, "pruning", "pruning");
    add_part(table, cost, "kept", "training on the kept images");
    add_part(table, cost, "comparison", "comparison with random");
    if (table.rows.empty()) continue;
    eval::write_table(html, table);
    const std::string text = pay_back_text(cost) + bytes_text(cost);
    if (!text.empty()) html.element("p", text);
  }
}

}  // namespace diffprob::launch
