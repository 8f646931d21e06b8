#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::prune {

/// The name in front of a list of numbers.
enum class ListName { kNone, kKeptIndex, kDroppedIndex };
struct NumberList {
  ListName name = ListName::kNone;
  std::vector<std::int64_t> numbers;  ///< as they stand in the file
};
/// Parses `kept_index = [3, 17, ...]` or `dropped_index = [...]`; the name and the brackets may be
/// absent, blanks and line breaks stand anywhere between numbers. Throws PruneError naming `where`,
/// the line and what was found: junk or a number outside `lowest` to `highest`.
[[nodiscard]] NumberList parse_number_list(const std::string& where, std::string_view text,
                                           std::int64_t lowest, std::int64_t highest);

/// Sorts; throws PruneError that names `where` when an index is there twice.
void sort_indices(const std::string& where, std::vector<std::int64_t>& indices);

}  // namespace diffprob::prune
