#pragma once

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Finds the people that data.train shares with the data set neighbours.other: by the names of
/// identities where both sets have them, and by the centres of embeddings where both files are
/// given. OUTPUT/overlap.csv, and OUTPUT/without_shared.h5, the index set of the training samples
/// of other people. Collective.
void overlap_command(const Config& config, Runtime& runtime);

/// Throws unless the inputs of the command are there and fit together. One rank.
void check_overlap_inputs(const Config& config);

}  // namespace diffprob::launch
