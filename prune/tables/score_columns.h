#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace diffprob::prune {

struct ScoreRecord;

/// Which columns of a ScoreRecord a table holds. Our own scoring fills all; what was imported holds
/// what its file had. A column that is not there is NaN (top1: -1) in every record, so that nothing
/// invented can be taken for a score.
class ScoreColumns {
 public:
  static constexpr std::array<std::string_view, 9> kNames = {
      "nll",    "probability", "top1_log_prob", "second_log_prob", "sum_p2", "entropy",
      "cosine", "norm",        "top1"};
  ScoreColumns() = default;  ///< all
  [[nodiscard]] static ScoreColumns none();
  /// Throws PruneError on a name that is none of kNames.
  void add(std::string_view name);
  /// False for names that are none of kNames.
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  [[nodiscard]] bool all() const noexcept { return bits_ == kAll; }
  /// "nll probability top1": the names, in the order of kNames.
  [[nodiscard]] std::string text() const;
  /// The reverse of text(). Throws PruneError that names `where` on unknown or repeated names.
  [[nodiscard]] static ScoreColumns parse(const std::string& where, std::string_view text);
  friend bool operator==(const ScoreColumns&, const ScoreColumns&) = default;

 private:
  static constexpr std::uint32_t kAll = (1U << kNames.size()) - 1;
  std::uint32_t bits_ = kAll;
};

/// Throws PruneError that names `where`, the column and `purpose` ("cleaning") if the column is
/// missing; `remedy` says what to do then.
void need_column(const std::string& where, const ScoreColumns& columns, std::string_view name,
                 const std::string& purpose, const std::string& remedy);

/// The float columns of a record by name.
struct FloatColumn {
  const char* name;
  float ScoreRecord::*member;
};
[[nodiscard]] const std::array<FloatColumn, 8>& float_columns();

/// A record of sample `index` of which nothing is known.
[[nodiscard]] ScoreRecord unknown_record(std::uint32_t index);

}  // namespace diffprob::prune
