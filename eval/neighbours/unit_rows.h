#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/neighbours/block_matches.h"
#include "eval/neighbours/embedded_set.h"
#include "eval/neighbours/identity_rows.h"

namespace diffprob::eval {

/// Rows of length 1, [rows, stride] float32 with the stride of row_products.h.
struct UnitRows {
  std::int64_t stride = 0;
  std::vector<float> values;

  [[nodiscard]] std::int64_t count() const {
    return stride == 0 ? 0 : static_cast<std::int64_t>(values.size()) / stride;
  }
  [[nodiscard]] const float* row(std::int64_t i) const { return values.data() + i * stride; }
  /// Rows [first, last), good while the rows are.
  [[nodiscard]] RowBlock block(std::int64_t first, std::int64_t last) const {
    return {row(first), last - first, stride};
  }
  [[nodiscard]] RowBlock block() const { return block(0, count()); }
};

/// Reads the rows of a set by place and makes them unit rows.
class UnitRowReader {
 public:
  /// Both must outlive it. threads: on which rows become unit rows.
  UnitRowReader(const EmbeddedSet& set, const IdentityRows& rows, int threads);

  /// Rows at places [first, last). A row of zeros stays one, so that its cosine with any other is
  /// 0. Throws data::DataError.
  [[nodiscard]] UnitRows read(std::int64_t first, std::int64_t last);
  /// The rows with these numbers.
  [[nodiscard]] UnitRows read_rows(std::span<const std::int64_t> rows);
  /// Rows of zeros among those read since the reader was made.
  [[nodiscard]] std::int64_t zero_rows() const noexcept { return zero_rows_; }

 private:
  const EmbeddedSet& set_;
  const IdentityRows& rows_;
  int threads_;
  std::vector<float> raw_;  ///< [n, dim]
  std::vector<std::int64_t> numbers_;
  std::int64_t zero_rows_ = 0;
};

}  // namespace diffprob::eval
