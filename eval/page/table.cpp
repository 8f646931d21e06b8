#include "eval/page/table.h"

#include <cstddef>

namespace diffprob::eval {
namespace {

void write_cell(HtmlWriter& html, const TableCell& cell, bool head) {
  if (head) {
    html.open("th", {{"scope", "row"}});
  } else if (cell.style.empty()) {
    html.open("td");
  } else {
    html.open("td", {{"class", cell.style}});
  }
  html.text(cell.text);
  if (!cell.small.empty()) html.empty("br").element("small", cell.small);
  html.close(head ? "th" : "td");
}

}  // namespace

void write_table(HtmlWriter& html, const Table& table) {
  html.open(
      "div",
      {{"class", "scroll"}, {"role", "region"}, {"aria-label", table.caption}, {"tabindex", "0"}});
  html.open("table").element("caption", table.caption).open("thead").open("tr");
  for (std::size_t i = 0; i < table.head.size(); ++i) {
    if (i == 0 ||
        (!table.rows.empty() && i < table.rows[0].size() && table.rows[0][i].style == "words")) {
      html.element("th", table.head[i], {{"scope", "col"}, {"class", "words"}});
    } else {
      html.element("th", table.head[i], {{"scope", "col"}});
    }
  }
  html.close("tr").close("thead").open("tbody");
  for (const auto& row : table.rows) {
    html.open("tr");
    for (std::size_t i = 0; i < table.head.size(); ++i)
      write_cell(html, i < row.size() ? row[i] : TableCell{}, i == 0);
    html.close("tr");
  }
  html.close("tbody").close("table").close("div");
}

}  // namespace diffprob::eval
