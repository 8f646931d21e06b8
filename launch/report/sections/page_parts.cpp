#include "launch/report/sections/page_parts.h"

namespace diffprob::launch {

std::string run_suffix(const ReportRuns& runs, const ReportRun& run) {
  return runs.size() > 1 ? " \u2013 " + run.name : "";
}

void write_heading(eval::HtmlWriter& html, const std::string& id, const std::string& text) {
  html.element("h2", text, {{"id", id}});
}

}  // namespace diffprob::launch
