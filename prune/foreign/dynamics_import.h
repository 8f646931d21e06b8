#pragma once

#include <string>

#include "prune/foreign/score_import.h"
#include "prune/tables/dynamics.h"

namespace diffprob::prune {

/// Probabilities (or -log p) of others, [E, N] in .npy or text, one row an epoch, as training
/// dynamics: rows are read one at a time. Margins and predictions are not in such a file, so the
/// table has mean_probability, uncertainty and last_probability alone. Throws PruneError.
[[nodiscard]] DynamicsTable import_dynamics(const std::string& path, ScoreValue value,
                                            const SampleLabels& samples,
                                            std::int64_t window = DynamicsAccumulator::kWindow);

}  // namespace diffprob::prune
