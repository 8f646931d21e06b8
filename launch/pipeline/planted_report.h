#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "prune/lists/index_set.h"

namespace diffprob::launch {

/// How well cleaning and pruning found what the synthetic set had planted (planted.csv): precision
/// and recall of the mislabelled ones, share of planted near-duplicates among the pruned ones and
/// among all usable ones (what a random choice would drop). Throws std::runtime_error naming file
/// and line on a malformed planted.csv.
[[nodiscard]] nlohmann::json judge_planted(const std::string& planted_csv,
                                           const prune::IndexSet& set);
[[nodiscard]] std::string planted_text(const nlohmann::json& report);

}  // namespace diffprob::launch
