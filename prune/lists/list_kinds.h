#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace diffprob::prune {

/// Forms in which people keep lists of samples (prune/tables/SCORES_FORMAT.md).
enum class ListKind {
  kIndexSet,
  kKeptIndex,
  kDroppedIndex,
  kComma,
  kAdaFace,
  kLines,
  kNpyIndex,
  kCvlface,
  kNpyMask,
  kCleanlab,
  kNames,
  kMsCeleb
};
/// What being listed (in a mask: being true) says of a sample.
enum class ListMeaning { kUnsaid, kKept, kDropped };
[[nodiscard]] const char* meaning_name(ListMeaning meaning);

struct ListKindInfo {
  ListKind kind;
  const char* name;     ///< as in --kind=NAME
  ListMeaning meaning;  ///< kUnsaid: the form does not say, the user must
  const char* what;     ///< one line of help
};
/// In the order of the enumeration.
[[nodiscard]] std::span<const ListKindInfo> list_kinds();
[[nodiscard]] const ListKindInfo& info_of(ListKind kind);
[[nodiscard]] std::optional<ListKind> find_list_kind(std::string_view name);

/// By content: HDF5, .npy (whole numbers or bools), `kept_index`, `dropped_index`, a
/// comma-separated line, one number a line, names of files. Never guesses what a form does not
/// show: kComma rather than kAdaFace, kNpyMask rather than kCleanlab. Throws PruneError on what
/// cannot be a list.
[[nodiscard]] ListKind detect_list_kind(const std::string& path);

}  // namespace diffprob::prune
