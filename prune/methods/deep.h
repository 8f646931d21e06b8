#pragma once

#include "prune/methods/selecting.h"

namespace diffprob::prune {

// Selections of single methods that deep_diffprob is put together from. Collective.

/// What `diffprob` keeps with the threshold that leads to keep_ratio; options.threshold becomes it.
void select_by_searched_threshold(Selecting& on, DiffProbOptions& options);

/// What `deep` keeps.
void select_deep(Selecting& on);

}  // namespace diffprob::prune
