#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Finds images of the training set that show one photograph, by pixels and, with
/// neighbours.embeddings, by embedding: OUTPUT/duplicates.csv, and the index set
/// OUTPUT/without_duplicates.h5, which keeps the first of each group. Collective.
void dedup_command(const Config& config, Runtime& runtime);
/// Finds images of the training set that are in the test sets of eval.sets and eval.ijb, likewise:
/// OUTPUT/leaks.csv, and the index set OUTPUT/without_leaks.h5. Collective.
void leaks_command(const Config& config, Runtime& runtime);
/// Throws unless the files that "data dedup" or "data leaks" reads beside the training set are
/// there and fit together. One rank.
void check_duplicate_inputs(const std::string& command, const Config& config);

}  // namespace diffprob::launch
