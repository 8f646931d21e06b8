#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Finds images of the training set that show one photograph: OUTPUT/duplicates.csv, and the index
/// set OUTPUT/without_duplicates.h5, which keeps the first of each group. Collective.
void dedup_command(const Config& config, Runtime& runtime);
/// Finds images of the training set that are in the .bin sets of eval.sets: OUTPUT/leaks.csv, and
/// the index set OUTPUT/without_leaks.h5. Collective.
void leaks_command(const Config& config, Runtime& runtime);
/// Throws unless the sets of eval.sets are there and can be read.
void check_leak_sets(const Config& config);

}  // namespace diffprob::launch
