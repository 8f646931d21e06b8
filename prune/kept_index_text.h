#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::prune {

/// Parses `kept_index = [3, 17, ...]`; the name and the brackets may be absent, blanks and line breaks stand anywhere between numbers.
/// Returns the indices increasing. Throws PruneError naming `where`, the line and what was found: junk, a negative number, an index
/// twice, or one >= num_samples (when num_samples > 0).
[[nodiscard]] std::vector<std::int64_t> parse_kept_index(const std::string& where, std::string_view text, std::int64_t num_samples);

}  // namespace diffprob::prune
