#include "prune/tables/score_columns.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "data/files/text_lines.h"
#include "prune/error.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {
namespace {

/// Position in kNames, or its size.
std::size_t position_of(std::string_view name) noexcept {
  const auto& names = ScoreColumns::kNames;
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

ScoreColumns ScoreColumns::none() {
  ScoreColumns columns;
  columns.bits_ = 0;
  return columns;
}

void ScoreColumns::add(std::string_view name) {
  const std::size_t at = position_of(name);
  if (at == kNames.size())
    throw PruneError("scores: unknown column '" + data::printable(name) + "'");
  bits_ |= 1U << at;
}

bool ScoreColumns::has(std::string_view name) const noexcept {
  const std::size_t at = position_of(name);
  return at < kNames.size() && (bits_ >> at & 1U) != 0;
}

std::string ScoreColumns::text() const {
  std::string text;
  for (const std::string_view name : kNames) {
    if (has(name)) text += (text.empty() ? "" : " ") + std::string(name);
  }
  return text;
}

ScoreColumns ScoreColumns::parse(const std::string& where, std::string_view text) {
  ScoreColumns columns = none();
  std::vector<std::string_view> names;
  data::split(text, ' ', names);
  for (const std::string_view name : names) {
    if (position_of(name) == kNames.size() || columns.has(name)) {
      throw PruneError(where + ": columns: '" + data::printable(name) +
                       "' is unknown or appears twice");
    }
    columns.add(name);
  }
  return columns;
}

void need_column(const std::string& where, const ScoreColumns& columns, std::string_view name,
                 const std::string& purpose, const std::string& remedy) {
  if (columns.has(name)) return;
  throw PruneError(where + ": " + purpose + " needs the column " + std::string(name) +
                   "; these imported scores have only '" + columns.text() + "'; " + remedy);
}

const std::array<FloatColumn, 8>& float_columns() {
  static constexpr std::array<FloatColumn, 8> kColumns = {
      {{"nll", &ScoreRecord::nll},
       {"probability", &ScoreRecord::probability},
       {"top1_log_prob", &ScoreRecord::top1_log_prob},
       {"second_log_prob", &ScoreRecord::second_log_prob},
       {"sum_p2", &ScoreRecord::sum_p2},
       {"entropy", &ScoreRecord::entropy},
       {"cosine", &ScoreRecord::cosine},
       {"norm", &ScoreRecord::norm}}};
  return kColumns;
}

ScoreRecord unknown_record(std::uint32_t index) {
  ScoreRecord record;
  record.index = index;
  record.top1 = -1;
  for (const FloatColumn& column : float_columns())
    record.*column.member = std::numeric_limits<float>::quiet_NaN();
  return record;
}

}  // namespace diffprob::prune
