#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// A table for the terminal: the first line is the header, every line has as many cells; the first
/// column is set left, the others right.
[[nodiscard]] std::string text_table(const std::vector<std::vector<std::string>>& lines);

/// The text as a field of a .csv, in quotes where it needs them.
[[nodiscard]] std::string csv_field(const std::string& text);

}  // namespace diffprob::launch
