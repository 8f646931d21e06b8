#pragma once

#include <cstdint>
#include <vector>

#include "eval/neighbours/embedded_set.h"

namespace diffprob::eval {

/// Rows of a set by identity. Places run from 0 to the number of rows, identity after identity, and
/// inside an identity in the order of the rows. Memory: 8 bytes per identity and, for a set whose
/// identities do not follow each other, 4 bytes per row.
class IdentityRows {
 public:
  /// Throws data::DataError on an identity out of range, and on 2^32 rows or more.
  explicit IdentityRows(const EmbeddedSet& set);

  [[nodiscard]] std::int64_t identities() const noexcept {
    return static_cast<std::int64_t>(begin_.size()) - 1;
  }
  /// First place of an identity; that of identities() is the end.
  [[nodiscard]] std::int64_t begin(std::int64_t identity) const {
    return begin_[static_cast<std::size_t>(identity)];
  }
  [[nodiscard]] std::int64_t count(std::int64_t identity) const {
    return begin(identity + 1) - begin(identity);
  }
  [[nodiscard]] std::int64_t row_at(std::int64_t place) const {
    return order_.empty() ? place : order_[static_cast<std::size_t>(place)];
  }

 private:
  std::vector<std::int64_t> begin_;   ///< [identities + 1]
  std::vector<std::uint32_t> order_;  ///< rows by place; empty: place = row
};

/// First identity of each rank, [ranks + 1]: contiguous shares of about equal work, where rows are
/// read and those of an identity compared with each other.
[[nodiscard]] std::vector<std::int64_t> shares_of_ranks(const IdentityRows& rows, int ranks);

}  // namespace diffprob::eval
