#pragma once

#include <string>
#include <vector>

#include "prune/foreign/score_import.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// Scores as comma-separated text with a header line (prune/tables/SCORES_FORMAT.md): `probability`
/// or `nll` or both, and any of `index`, `label`, `top1` and the other columns of
/// ScoreColumns::kNames, in any order; other columns are left out and named in `ignored`. Without
/// `index` the order of the lines counts. Labels come from `samples`, or from a `label` column when
/// it has none; when both are there they must agree. Throws PruneError that names the line: junk,
/// NaN, values out of range, an index twice or missing, wrong number of fields.
[[nodiscard]] ScoreTable read_score_csv(const std::string& path, const SampleLabels& samples,
                                        std::vector<std::string>* ignored = nullptr);
/// Whether the first line is such a header.
[[nodiscard]] bool is_score_csv(const std::string& path);

/// index, label and every column that the table has; floats in the shortest form that comes back as
/// it was. Atomic. Throws PruneError.
void write_score_csv(const std::string& path, const ScoreTable& table);

}  // namespace diffprob::prune
