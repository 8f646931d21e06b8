// The part "Labels".
#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "eval/page/table.h"
#include "launch/report/json.h"
#include "launch/report/sections/images.h"
#include "launch/report/sections/page_parts.h"
#include "launch/report/sections/proposal_sheets.h"

namespace diffprob::launch {
namespace {

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.2f} %", 100 * share) : "-";
}

std::string sentence(std::string text) {
  if (text.empty()) return text;
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text + ".";
}

void add_estimate(eval::Table& table, const ReportRuns& runs, const ReportRun& run) {
  const auto& summary = run.prunings.front().summary;
  const auto& noise = value_at(summary, "noise");
  if (!noise.is_object()) return;
  const double samples = number_at(summary, "samples");
  const auto number = [](double value) -> eval::TableCell {
    return {std::isfinite(value) ? fmt::format("{:.0f}", value) : "-", "", ""};
  };
  table.rows.push_back({{runs.size() > 1 ? run.name : "this run", "", "words"},
                        {percent(number_at(noise, "rate")),
                         fmt::format("{} to {}", percent(number_at(noise, "low_95")),
                                     percent(number_at(noise, "high_95"))),
                         ""},
                        number(number_at(noise, "rate") * samples),
                        number(samples - number_at(summary, "usable")),
                        number(number_at(noise, "confident")),
                        number(number_at(noise, "confident_of_another_class"))});
}

void write_sentences(eval::HtmlWriter& html, const ReportRuns& runs, const ReportRun& run) {
  const auto& summary = run.prunings.front().summary;
  const std::string name = runs.size() > 1 ? run.name + ": " : "";
  for (const std::string& text : {text_at(value_at(summary, "noise"), "verdict"),
                                  text_at(value_at(summary, "clean_precision"), "why")})
    if (!text.empty()) html.element("p", name + sentence(text));
  const double given_back = number_at(value_at(summary, "clean_floor"), "samples");
  if (given_back > 0)
    html.element(
        "p",
        fmt::format(
            "{}The floor of cleaning (prune.clean_floor) left {:.0f} suspicious images to {:.0f} "
            "identities.",
            name, given_back, number_at(value_at(summary, "clean_floor"), "identities")));
}

void write_proposals(eval::HtmlWriter& html, const ReportRun& run, std::size_t most_bytes) {
  if (run.proposals.empty()) return;
  html.element("p",
               "Proposals of proposals.csv: delete the lines that are wrong and apply the others "
               "with \"diffprob data apply-proposals\". Images with a double frame are those whose "
               "label would change, beside images of the identity that they look like.",
               {{"class", "note"}});
  if (!run.scored || !run.dataset) {
    html.element("p", "No faces: they need scores, an index set and the data set.",
                 {{"class", "note"}});
    return;
  }
  if (const std::string problem = mismatch(run); !problem.empty()) {
    html.element("p", "No faces: " + problem + ".", {{"class", "note"}});
    return;
  }
  write_proposal_sheets(html, run, most_bytes);
}

}  // namespace

void write_labels(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes) {
  write_heading(html, "labels", "Labels");
  eval::Table table{"Labels that look wrong",
                    {"run", "estimated wrong", "that is, images", "removed by cleaning",
                     "confident predictions", "of another identity"},
                    {}};
  for (const auto& run : runs)
    if (!run.prunings.empty()) add_estimate(table, runs, run);
  if (table.rows.empty()) {
    html.element("p",
                 "Nothing is known of the labels: no run was cleaned by scores without margin.",
                 {{"class", "note"}});
  } else {
    eval::write_table(html, table);
  }
  for (const auto& run : runs) {
    if (run.prunings.empty()) continue;
    write_sentences(html, runs, run);
    write_proposals(html, run, most_bytes / runs.size());
  }
}

}  // namespace diffprob::launch
