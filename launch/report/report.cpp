#include "launch/report/report.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string_view>

#include "data/files/atomic_file.h"
#include "eval/page/page_style.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kMostFaceBytes = 2800 * 1000;  // 3.8 MB as base64
constexpr std::size_t kMostBytes = 5000 * 1000 - 1;

void write_navigation(eval::HtmlWriter& html, const ReportRuns& runs) {
  html.open("nav", {{"aria-label", "Contents"}}).open("ul");
  const bool sweep =
      std::any_of(runs.begin(), runs.end(), [](const auto& run) { return !run.sweep.is_null(); });
  const bool copies =
      std::any_of(runs.begin(), runs.end(), [](const auto& run) { return run.found_copies; });
  for (const auto& [id, text] :
       {std::pair{"models", "Models"}, std::pair{"sweep", "Sweep"}, std::pair{"pruning", "Pruning"},
        std::pair{"labels", "Labels"}, std::pair{"copies", "Copies"}, std::pair{"faces", "Faces"},
        std::pair{"verification", "Verification"}, std::pair{"training", "Training"},
        std::pair{"costs", "Time and memory"}, std::pair{"configuration", "Configuration"}}) {
    if (id == std::string_view("sweep") && !sweep) continue;
    if (id == std::string_view("copies") && !copies) continue;
    html.open("li").element("a", text, {{"href", std::string("#") + id}}).close("li");
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
  write_navigation(html, runs);
  html.close("header").open("main");
  write_overview(html, runs);
  write_models(html, runs);
  write_sweep(html, runs);
  write_pruning(html, runs);
  // A run without proposals leaves the share of their faces to the others.
  const std::size_t proposal_bytes = any_proposals(runs) ? face_bytes / 2 : 0;
  write_labels(html, runs, proposal_bytes);
  write_copies(html, runs, (face_bytes - proposal_bytes) / 2);
  write_faces(html, runs, face_bytes - proposal_bytes);
  write_verification_plots(html, runs);
  write_training_curves(html, runs);
  write_costs(html, runs);
  write_configuration(html, runs);
  html.close("main").close("body").close("html");
  return "<!DOCTYPE html>\n" + html.take();
}

}  // namespace

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
