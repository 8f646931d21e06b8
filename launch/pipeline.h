#pragma once

#include "launch/config.h"
#include "launch/runtime.h"
#include "prune/prune.h"

namespace diffprob::launch {

/// The main job: [synthetic data] -> train the original -> score -> clean and prune -> retrain (run.seeds times, and on random sets of the
/// same size when run.compare_random) -> summary. Every stage is skipped when it was done before from the same inputs. Collective.
void run_pipeline(const Config& config, Runtime& runtime);

/// index_set.h5, kept_index.txt, label_map.txt and summary.json. One rank.
void write_pruning(const std::string& folder, const prune::PruneResult& result, const prune::ScoreTable& table);

}  // namespace diffprob::launch
