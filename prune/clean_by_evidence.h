#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prune/cleaning/evidence.h"
#include "prune/row_blocks.h"
#include "prune/sample_rows.h"

namespace diffprob::prune {

/// What a rule of cleanlab found in the rows of this rank.
struct FoundIssues {
  /// Samples, over all ranks, of which only the whole row of probabilities tells whether a third
  /// class is confident. 0: the result is cleanlab's.
  std::int64_t open = 0;
};

/// The rows of this rank.
struct CleanedRows {
  const RowBlocks& blocks;
  std::span<const std::int32_t> labels;
  std::span<Reason> reasons;  ///< all kept before
};

/// Marks what the rule, one of cleanlab's, finds as kMislabelled.
/// `thresholds`: finished. Rows are read once more, block after block. The same result for any
/// number of ranks. Collective; throws PruneError on all ranks together.
FoundIssues clean_by_evidence(SampleRows& file, const CleanedRows& rows,
                              const CleanOptions& options, const ClassThresholds& thresholds,
                              dist::HostCollectives& collectives);

}  // namespace diffprob::prune
