#include "prune/tables/score_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/tables/row_problems.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::prune {
namespace {

void check_class(std::int64_t row, const char* name, std::int64_t value, std::int64_t num_classes,
                 RowProblems& problems) {
  if (value >= 0 && value < num_classes) return;
  problems.add(row, std::string(name) + " is " + std::to_string(value) + ", expected 0 to " +
                        std::to_string(num_classes - 1));
}

/// Which of float_columns() a table has.
using FloatColumnsThere = std::array<bool, 8>;

void check_row(std::int64_t row, const ScoreRecord& record, const FloatColumnsThere& there,
               bool unknown_score, RowProblems& problems) {
  if (static_cast<std::int64_t>(record.index) != row)
    problems.add(row, "holds the record of sample " + std::to_string(record.index));
  if (unknown_score && !(std::isnan(record.nll) && std::isnan(record.probability)))
    problems.add(row, "top1 is -1, which marks an unknown score, but there is one");
  const auto& columns = float_columns();
  for (std::size_t k = 0; k < columns.size(); ++k) {
    if (std::isnan(record.*columns[k].member) != there[k]) continue;
    const auto member = columns[k].member;
    if (unknown_score && (member == &ScoreRecord::nll || member == &ScoreRecord::probability))
      continue;
    problems.add(row, std::string(columns[k].name) +
                          (there[k] ? " is NaN" : " is present, but not among the columns"));
  }
  if (record.probability < 0 || record.probability > 1) {
    problems.add(row, "probability is " + std::to_string(record.probability) + ", expected 0 to 1");
  }
  if (record.nll < 0)
    problems.add(row, "nll is " + std::to_string(record.nll) + ", expected at least 0");
}

void check_columns(const std::string& where, const ScoreColumns& columns) {
  if (columns.has("nll") && columns.has("probability")) return;
  throw PruneError(where + ": columns are '" + columns.text() +
                   "', expected nll and probability among them");
}

template <class T, class Get>
void write_column(HdfWriter& file, const std::string& name, std::size_t count, const Get& get) {
  std::vector<T> column(count);
  for (std::size_t i = 0; i < count; ++i) column[i] = get(i);
  file.dataset<T>(name, column);
}

template <class T>
std::vector<T> read_column(const HdfReader& file, const std::string& path, const std::string& name,
                           std::size_t count) {
  auto column = file.dataset<T>(name);
  if (column.size() != count) {
    throw PruneError(path + ": " + name + ": " + std::to_string(column.size()) +
                     " rows, expected " + std::to_string(count));
  }
  return column;
}

}  // namespace

void check_table(const std::string& where, const ScoreTable& table) {
  if (table.labels.size() != table.records.size()) {
    throw PruneError(where + ": " + std::to_string(table.labels.size()) + " labels for " +
                     std::to_string(table.records.size()) + " records, expected the same number");
  }
  const std::int64_t classes = table.source.num_classes;
  check_extents(where, static_cast<std::int64_t>(table.records.size()), classes);
  check_columns(where, table.columns);
  const bool top1 = table.columns.has("top1");
  FloatColumnsThere there{};
  for (std::size_t k = 0; k < there.size(); ++k)
    there[k] = table.columns.has(float_columns()[k].name);
  RowProblems problems;
  for (std::size_t i = 0; i < table.records.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i);
    const bool unknown_score = top1 && table.records[i].top1 == kUnknownClass;
    check_row(row, table.records[i], there, unknown_score, problems);
    check_class(row, "label", table.labels[i], classes, problems);
    if (top1 && !unknown_score) check_class(row, "top1", table.records[i].top1, classes, problems);
  }
  problems.throw_if_any(where);
}

std::int64_t unknown_scores(const ScoreTable& table) {
  if (!table.columns.has("top1")) return 0;
  return std::count_if(table.records.begin(), table.records.end(),
                       [](const ScoreRecord& record) { return record.top1 == kUnknownClass; });
}

void write_scores(const std::string& path, const ScoreTable& table) {
  check_table(path, table);
  HdfWriter file(path);
  file.attribute("format", std::string(kScoreFormat));
  file.attribute("format_version", kScoreVersion);
  file.attribute("num_samples", static_cast<std::int64_t>(table.records.size()));
  write_source(file, table.source);
  file.dataset<std::int32_t>("label", table.labels);
  const std::size_t count = table.records.size();
  // Only tables that lack columns say which they have: files of our own scoring stay as they were.
  if (!table.columns.all()) file.attribute("columns", table.columns.text());
  if (const auto unknown = unknown_scores(table); unknown > 0)
    file.attribute(kUnknownScores, unknown);
  if (table.columns.has("top1"))
    write_column<std::int32_t>(file, "top1", count,
                               [&](std::size_t i) { return table.records[i].top1; });
  for (const FloatColumn& column : float_columns()) {
    if (!table.columns.has(column.name)) continue;
    write_column<float>(file, column.name, count,
                        [&](std::size_t i) { return table.records[i].*column.member; });
  }
  file.commit();
}

ScoreColumns read_columns(const HdfReader& file, const std::string& path) {
  if (!file.has_attribute("columns")) return {};
  return ScoreColumns::parse(path, file.text("columns"));
}

ScoreTable read_scores(const std::string& path) {
  const HdfReader file(path);
  file.check_format(kScoreFormat, kScoreVersion);
  ScoreTable table;
  table.source = read_source(file, path);
  table.labels = file.dataset<std::int32_t>("label");
  const std::size_t count = table.labels.size();
  if (file.integer("num_samples") != static_cast<std::int64_t>(count)) {
    throw PruneError(path + ": num_samples is " + std::to_string(file.integer("num_samples")) +
                     ", but there are " + std::to_string(count) + " labels");
  }
  table.columns = read_columns(file, path);
  table.records.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    table.records.push_back(unknown_record(static_cast<std::uint32_t>(i)));
  if (table.columns.has("top1")) {
    const auto top1 = read_column<std::int32_t>(file, path, "top1", count);
    for (std::size_t i = 0; i < count; ++i) table.records[i].top1 = top1[i];
  }
  for (const FloatColumn& column : float_columns()) {
    if (!table.columns.has(column.name)) continue;
    const auto values = read_column<float>(file, path, column.name, count);
    for (std::size_t i = 0; i < count; ++i) table.records[i].*column.member = values[i];
  }
  check_table(path, table);
  return table;
}

}  // namespace diffprob::prune
