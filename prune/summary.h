#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "prune/prune.h"

namespace diffprob::prune {

/// summary.json of a pruning (prune/tables/SCORES_FORMAT.md). `kept`: [num_classes], samples kept
/// of each identity. One rank.
void write_prune_summary(const std::string& path, const PruneResult& result,
                         std::span<const std::int32_t> kept);

/// All options that decide the result, as one line of text: equal texts, equal results from the
/// same files.
[[nodiscard]] std::string describe(const PruneOptions& options);

}  // namespace diffprob::prune
