#include "prune/foreign/score_rows.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "data/files/atomic_file.h"
#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/foreign/prob_folder.h"

namespace diffprob::prune {
namespace {

void parse_row(const data::TextLines& lines, std::vector<std::string_view>& fields,
               std::vector<double>& values) {
  if (lines.text().find(';') != std::string_view::npos)
    lines.fail("commas or blanks between numbers, not semicolons (and points in numbers)",
               lines.text());
  data::split(lines.text(), lines.text().find(',') == std::string_view::npos ? ' ' : ',', fields);
  if (fields.size() > 1 && fields.back().empty()) fields.pop_back();  // a comma at the end
  values.resize(fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!data::parse_number(fields[i], values[i])) lines.fail("a number", fields[i]);
    if (std::isnan(values[i])) lines.fail("a score", fields[i]);
  }
}

}  // namespace

void read_text_rows(const std::string& path, const TakeRow& take) {
  data::TextLines lines(path);
  std::vector<std::string_view> fields;
  std::vector<double> values;
  std::vector<double> column;
  std::int64_t row = 0;
  std::size_t width = 0;
  while (lines.next()) {
    if (lines.text().starts_with('#')) continue;
    parse_row(lines, fields, values);
    if (width != 0 && values.size() != width) {
      lines.fail(std::to_string(width) + " numbers, as in the lines before",
                 std::to_string(values.size()) + " numbers");
    }
    width = values.size();
    if (width == 1) {
      column.push_back(values[0]);
    } else {
      take(row++, values);
    }
  }
  if (width == 0) throw PruneError(path + ": contains no scores");
  if (width == 1) take(0, column);
}

void read_score_rows(const std::string& path, const TakeRow& take) {
  if (std::filesystem::is_directory(path)) {
    read_prob_folder(path, take);
  } else if (is_npy_file(path)) {
    read_npy_rows(path, take);
  } else {
    read_text_rows(path, take);
  }
}

void write_text_column(const std::string& path, std::span<const double> values) {
  data::AtomicFile file(path);
  char line[40];
  for (const double value : values) {
    const int length = std::snprintf(line, sizeof line, "%.18e\n", value);
    file.write(std::string_view(line, static_cast<std::size_t>(length)));
  }
  file.commit();
}

}  // namespace diffprob::prune
