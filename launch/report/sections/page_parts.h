#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/page/html.h"
#include "launch/report/run.h"

namespace diffprob::launch {

/// Parts of the report, each with its heading; of several runs side by side. A run that lacks what
/// a part shows is left out of it, with a note when none has it.
using ReportRuns = std::vector<ReportRun>;

void write_overview(eval::HtmlWriter& html, const ReportRuns& runs);
void write_models(eval::HtmlWriter& html, const ReportRuns& runs);
/// Table and plots of what a sweep has compared; writes nothing when no run is a sweep.
void write_sweep(eval::HtmlWriter& html, const ReportRuns& runs);
void write_verification_plots(eval::HtmlWriter& html, const ReportRuns& runs);
/// Belongs to the part "Verification"; writes nothing when no run was evaluated on IJB.
void write_ijb(eval::HtmlWriter& html, const ReportRuns& runs);
/// What the scores say of the labels: how many look wrong, what cleaning chose, proposals with
/// faces. Writes nothing when no run was cleaned.
void write_labels(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes);
void write_pruning(eval::HtmlWriter& html, const ReportRuns& runs);
/// Belongs to the part "Cleaning and pruning"; writes nothing when no pruning says who loses.
void write_fairness(eval::HtmlWriter& html, const ReportRuns& runs);
/// Pairs of duplicates.csv and leaks.csv, with their images; writes nothing when no run has such.
void write_copies(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes);
/// `most_bytes`: of images as they are, before base64 makes them a third larger.
void write_faces(eval::HtmlWriter& html, const ReportRuns& runs, std::size_t most_bytes);
void write_training_curves(eval::HtmlWriter& html, const ReportRuns& runs);
/// Belongs to the part "Time and memory": what the pruning cost and saves; writes nothing when no
/// run says it.
void write_pruning_cost(eval::HtmlWriter& html, const ReportRuns& runs);
void write_costs(eval::HtmlWriter& html, const ReportRuns& runs);
void write_configuration(eval::HtmlWriter& html, const ReportRuns& runs);

/// " - NAME" when there are several runs, else "".
[[nodiscard]] std::string run_suffix(const ReportRuns& runs, const ReportRun& run);
void write_heading(eval::HtmlWriter& html, const std::string& id, const std::string& text);

}  // namespace diffprob::launch
