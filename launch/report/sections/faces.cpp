// The part "Face sheets".
#include "launch/report/faces.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "launch/report/sections/images.h"
#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {
namespace {

constexpr std::size_t kIdentitiesOfAKind = 4;

void write_image(PageImages& images, const prune::ScoredSample& sample, const char* outcome) {
  const std::string probability = probability_text(sample);
  std::string caption = "p " + probability;
  std::string text =
      fmt::format("image {}, {}, probability {}", sample.index, outcome, probability);
  if (outcome_of(sample.reason) == SampleOutcome::kCleaned && sample.top1 >= 0) {
    caption += fmt::format(", looks like {}", sample.top1);
    text += fmt::format(", looks like identity {}", sample.top1);
  }
  images.write(sample.index, {outcome, caption, text});
}

std::vector<FaceSheet> sheets_of(const ReportRun& run, std::size_t identities_of_a_kind) {
  const auto& [samples, overview] = *run.scored;
  const auto chosen = choose_identities(overview.identities, identities_of_a_kind);
  std::map<std::int64_t, std::vector<prune::ScoredSample>> of_label;
  for (const auto& identity : chosen) of_label[identity.label];
  samples.for_each([&](const prune::ScoredSample& sample) {
    const auto found = of_label.find(sample.label);
    if (found != of_label.end()) found->second.push_back(sample);
  });
  std::vector<FaceSheet> sheets;
  for (const auto& identity : chosen) {
    sheets.push_back(make_sheet(identity,
                                overview.identities[static_cast<std::size_t>(identity.label)],
                                std::move(of_label[identity.label]), {}));
  }
  return sheets;
}

void write_sheet(eval::HtmlWriter& html, PageImages& images, const FaceSheet& sheet) {
  const auto& counts = sheet.counts.samples;
  html.element("h4",
               fmt::format("Identity {}: {} kept, {} pruned, {} removed by cleaning{}",
                           sheet.identity.label, counts[0], counts[1], counts[2],
                           static_cast<std::int64_t>(sheet.shown()) < sheet.counts.all()
                               ? fmt::format(" ({} of {} shown)", sheet.shown(), sheet.counts.all())
                               : ""));
  html.open("div", {{"class", "sheet"}});
  for (const auto& group : sheet.groups) {
    html.open("div", {{"class", "group"}});
    write_image(images, group.kept, "kept");
    for (const auto& sample : group.pruned) write_image(images, sample, "pruned");
    html.close("div");
  }
  if (!sheet.cleaned.empty()) {
    html.open("div", {{"class", "group"}});
    for (const auto& sample : sheet.cleaned) write_image(images, sample, "cleaned");
    html.close("div");
  }
  html.close("div");
}

}  // namespace

void write_faces(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes) {
  write_heading(html, "faces", "Face sheets");
  html.element(
      "p",
      "Each box begins with a kept image (solid frame), followed by the pruned images (dashed "
      "frame) that come next in order of falling probability: with DiffProb, these are the "
      "near-duplicates that it represents. Images with a double frame were removed by cleaning: "
      "the network takes them for someone else. p is the probability of the label.",
      {{"class", "note"}});
  bool any = false;
  for (const auto& run : runs) {
    if (!run.scored || !run.dataset) continue;
    if (runs.size() > 1) html.element("h3", run.name);
    if (const std::string problem = mismatch(run); !problem.empty()) {
      html.element("p", "No face sheets: " + problem + ".", {{"class", "note"}});
      any = true;
      continue;
    }
    PageImages images(html, *run.dataset, most_bytes / runs.size());
    std::string why;
    for (const auto& sheet :
         sheets_of(run, std::max<std::size_t>(1, kIdentitiesOfAKind / runs.size()))) {
      if (sheet.identity.why != why)
        html.element("h3", "Identities: " + sheet.identity.why + run_suffix(runs, run));
      why = sheet.identity.why;
      write_sheet(html, images, sheet);
    }
    any = true;
  }
  if (!any)
    html.element("p", "No face sheets: they need scores, an index set and the data set.",
                 {{"class", "note"}});
}

}  // namespace diffprob::launch
