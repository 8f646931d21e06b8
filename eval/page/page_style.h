#pragma once

#include <string_view>

namespace diffprob::eval {

/// Style sheet of a page with plots, tables and image sheets: light and dark, from a phone to a
/// wide screen, and for paper.
[[nodiscard]] std::string_view page_style();

}  // namespace diffprob::eval
