#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/pipeline/comparison.h"

namespace diffprob::launch {

/// The table of a sweep for the terminal and OUTPUT/sweep.txt, with what its columns mean. `sets`:
/// names of the verification sets.
[[nodiscard]] std::string comparison_text(const std::vector<ComparedCell>& rows,
                                          const std::vector<std::string>& sets);
/// OUTPUT/sweep.json: every cell with its accuracies by seed and set, intervals as [low, high] or
/// null, difference to random and verdict.
[[nodiscard]] nlohmann::ordered_json comparison_json(const std::vector<ComparedCell>& rows,
                                                     const std::vector<std::string>& sets);
/// OUTPUT/sweep.csv: one line a training.
[[nodiscard]] std::string comparison_csv(const std::vector<ComparedCell>& rows,
                                         const std::vector<std::string>& sets);

}  // namespace diffprob::launch
