#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/report/run.h"

namespace diffprob::launch {

/// The page: one HTML file without scripts or references to other files. Of several runs, side by
/// side. Faces are left out where it would exceed 5 MB.
[[nodiscard]] std::string report_html(const std::vector<ReportRun>& runs);

/// OUTPUT/report.html at the end of a run, whose result does not depend on it: a problem is logged.
/// One rank.
void write_run_report(const std::string& output, std::shared_ptr<const data::Dataset> dataset);

}  // namespace diffprob::launch
