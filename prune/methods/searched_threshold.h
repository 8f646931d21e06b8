#pragma once

#include "prune/methods/selecting.h"

namespace diffprob::prune {

/// What `diffprob` keeps with the threshold that leads to keep_ratio; options.threshold becomes it.
/// Collective.
void select_by_searched_threshold(Selecting& on, DiffProbOptions& options);

}  // namespace diffprob::prune
