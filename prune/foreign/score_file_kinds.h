#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace diffprob::prune {

/// Forms in which people keep scores (prune/tables/SCORES_FORMAT.md).
enum class ScoreFileKind { kScores, kCsv, kNpy, kText, kProbClean, kProbFolder };

struct ScoreFileKindInfo {
  ScoreFileKind kind;
  const char* name;       ///< as in --kind=NAME
  const char* extension;  ///< of files that are written without saying a kind; "" if there is none
  const char* what;       ///< one line of help
};
/// In the order of the enumeration.
[[nodiscard]] std::span<const ScoreFileKindInfo> score_file_kinds();
[[nodiscard]] std::optional<ScoreFileKind> find_score_file_kind(std::string_view name);
/// By content; nothing when the file is no score file but may be a list (prune/lists/list_kinds.h).
/// Whole numbers are never taken for scores. Throws PruneError when it cannot be read, and on HDF5
/// files that are neither.
[[nodiscard]] std::optional<ScoreFileKind> detect_score_file_kind(const std::string& path);

}  // namespace diffprob::prune
