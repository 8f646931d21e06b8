#pragma once

#include <string>
#include <vector>

#include "eval/page/html.h"

namespace diffprob::eval {

struct TableCell {
  std::string text;
  std::string small;  ///< second line
  std::string style;  ///< class of the page's style sheet: "good", "bad", "words", "wrap"
};

/// A <table> with a caption, column heads and, in the first column, row heads; it scrolls sideways
/// where it is too wide. Rows may be shorter than the head.
struct Table {
  std::string caption;
  std::vector<std::string> head;
  std::vector<std::vector<TableCell>> rows;
};
void write_table(HtmlWriter& html, const Table& table);

}  // namespace diffprob::eval
