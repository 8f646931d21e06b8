#include "launch/report/report.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

#include "data/files/atomic_file.h"
#include "eval/page/page_style.h"
#include "eval/page/table.h"
#include "launch/config/fields.h"
#include "launch/report/sections.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kMostFaceBytes = 2800 * 1000;  // 3.8 MB as base64
constexpr std::size_t kMostBytes = 5000 * 1000 - 1;

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

void write_navigation(eval::HtmlWriter& html) {
  html.open("nav", {{"aria-label", "Contents"}}).open("ul");
  for (const auto& [id, text] :
       {std::pair{"#models", "Models"}, std::pair{"#pruning", "Pruning"},
        std::pair{"#labels", "Labels"}, std::pair{"#faces", "Faces"},
        std::pair{"#verification", "Verification"}, std::pair{"#training", "Training"},
        std::pair{"#costs", "Time and memory"}, std::pair{"#configuration", "Configuration"}}) {
    html.open("li").element("a", text, {{"href", id}}).close("li");
  }
  html.close("ul").close("nav");
}

bool any_proposals(const ReportRuns& runs) {
  return std::any_of(runs.begin(), runs.end(),
                     [](const ReportRun& run) { return !run.proposals.empty(); });
}

std::string title_of(const ReportRuns& runs) {
  std::string title = "diffprob report: ";
  for (std::size_t i = 0; i < runs.size(); ++i) title += (i == 0 ? "" : ", ") + runs[i].name;
  return title;
}

std::string render(const ReportRuns& runs, std::size_t face_bytes) {
  eval::HtmlWriter html;
  html.open("html", {{"lang", "en"}}).open("head");
  html.empty("meta", {{"charset", "utf-8"}});
  html.empty("meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  html.empty("meta", {{"http-equiv", "Content-Security-Policy"},
                      {"content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}});
  html.element("title", title_of(runs)).style(eval::page_style()).close("head");
  html.open("body").open("header").element("h1", title_of(runs));
  html.element("p",
               fmt::format("Written by diffprob {}. This file needs no network and no script.",
                           DIFFPROB_VERSION),
               {{"class", "lead"}});
  write_navigation(html);
  html.close("header").open("main");
  write_overview(html, runs);
  write_models(html, runs);
  write_pruning(html, runs);
  // A run without proposals leaves the share of their faces to the others.
  const std::size_t proposal_bytes = any_proposals(runs) ? face_bytes / 2 : 0;
  write_labels(html, runs, proposal_bytes);
  write_faces(html, runs, face_bytes - proposal_bytes);
  write_verification_plots(html, runs);
  write_training_curves(html, runs);
  write_costs(html, runs);
  write_configuration(html, runs);
  html.close("main").close("body").close("html");
  return "<!DOCTYPE html>\n" + html.take();
}

}  // namespace

std::string run_suffix(const ReportRuns& runs, const ReportRun& run) {
  return runs.size() > 1 ? " \u2013 " + run.name : "";
}

void write_heading(eval::HtmlWriter& html, const std::string& id, const std::string& text) {
  html.element("h2", text, {{"id", id}});
}

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

std::string report_html(const std::vector<ReportRun>& runs) {
  std::string page = render(runs, kMostFaceBytes);
  if (page.size() <= kMostBytes) return page;
  constexpr std::size_t kSlack =
      20000;  // of image tags, against the text that stands for a missing image
  const std::size_t others = render(runs, 0).size() + kSlack;
  return render(runs, others < kMostBytes ? (kMostBytes - others) / 4 * 3 : 0);
}

void write_run_report(const std::string& output, std::shared_ptr<const data::Dataset> dataset) {
  try {
    const std::string file = output + "/report.html";
    data::write_file_atomically(file, report_html({read_report_run(output, std::move(dataset))}));
    spdlog::info("report: {}", file);
  } catch (const std::exception& error) {
    spdlog::warn("no report: {}", error.what());
  }
}

}  // namespace diffprob::launch
