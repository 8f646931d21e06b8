#pragma once

#include <cstddef>

#include "eval/page/html.h"
#include "launch/report/run.h"

namespace diffprob::launch {

/// Faces of a run's proposals, the surest of each kind. The run has scores and the data set they
/// are of.
void write_proposal_sheets(eval::HtmlWriter& html, const ReportRun& run, std::size_t most_bytes);

}  // namespace diffprob::launch
