#include "eval/neighbours/identity_rows.h"

#include <limits>
#include <string>

#include "data/error.h"

namespace diffprob::eval {
namespace {

/// Work of reading a row, in products of two rows.
constexpr double kReadingARow = 50;

double work_of(std::int64_t rows) {
  const auto n = static_cast<double>(rows);
  return n * (kReadingARow + n / 2);
}

}  // namespace

IdentityRows::IdentityRows(const EmbeddedSet& set) {
  if (set.rows >= std::numeric_limits<std::uint32_t>::max() ||
      set.identities > std::numeric_limits<std::int32_t>::max())
    throw data::DataError(set.name + ": " + std::to_string(set.rows) + " rows of " +
                          std::to_string(set.identities) +
                          " identities, expected fewer than 2^32 and 2^31");
  begin_.assign(static_cast<std::size_t>(set.identities) + 1, 0);
  bool in_order = true;
  std::int64_t last = 0;
  for (std::int64_t row = 0; row < set.rows; ++row) {
    const std::int64_t identity = set.identity(row);
    if (identity < 0 || identity >= set.identities)
      throw data::DataError(set.name + ": row " + std::to_string(row) + " has the identity " +
                            std::to_string(identity) + ", expected 0 to " +
                            std::to_string(set.identities - 1));
    ++begin_[static_cast<std::size_t>(identity) + 1];
    in_order = in_order && identity >= last;
    last = identity;
  }
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  if (in_order) return;
  std::vector<std::int64_t> next(begin_.begin(), begin_.end() - 1);
  order_.resize(static_cast<std::size_t>(set.rows));
  for (std::int64_t row = 0; row < set.rows; ++row) {
    const auto place = next[static_cast<std::size_t>(set.identity(row))]++;
    order_[static_cast<std::size_t>(place)] = static_cast<std::uint32_t>(row);
  }
}

std::vector<std::int64_t> shares_of_ranks(const IdentityRows& rows, int ranks) {
  double all = 0;
  for (std::int64_t id = 0; id < rows.identities(); ++id) all += work_of(rows.count(id));
  std::vector<std::int64_t> first = {0};
  double done = 0;
  for (std::int64_t id = 0; id < rows.identities(); ++id) {
    while (static_cast<int>(first.size()) < ranks &&
           done >= all * static_cast<double>(first.size()) / ranks)
      first.push_back(id);
    done += work_of(rows.count(id));
  }
  first.resize(static_cast<std::size_t>(ranks) + 1, rows.identities());
  return first;
}

}  // namespace diffprob::eval
