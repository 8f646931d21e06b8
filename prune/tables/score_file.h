#pragma once

#include <string>

#include "prune/tables/score_table.h"

namespace diffprob::prune {

class HdfReader;

inline constexpr const char* kScoreFormat = "diffprob-scores";
inline constexpr std::int64_t kScoreVersion = 1;
/// Attribute of files with samples whose score is unknown (kUnknownClass): their number.
inline constexpr const char* kUnknownScores = "unknown_scores";

/// Throws PruneError, naming `where` and the first rows concerned, unless the table is whole and
/// sane: as many labels as records, indices 0 to N - 1, no NaN, probabilities in [0, 1], nll >= 0,
/// labels and top1 in [0, num_classes). Of a sample whose top1 is kUnknownClass nll and probability
/// are NaN.
void check_table(const std::string& where, const ScoreTable& table);

/// Returns which columns a score file has; files of our own scoring have all.
[[nodiscard]] ScoreColumns read_columns(const HdfReader& file, const std::string& path);

}  // namespace diffprob::prune
