#include "eval/neighbours/unit_rows.h"

#include <algorithm>
#include <atomic>

#include "data/files/worker_threads.h"
#include "eval/neighbours/row_products.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kRowsATask = 512;

}  // namespace

UnitRowReader::UnitRowReader(const EmbeddedSet& set, const IdentityRows& rows, int threads)
    : set_(set), rows_(rows), threads_(threads) {}

UnitRows UnitRowReader::read(std::int64_t first, std::int64_t last) {
  numbers_.clear();
  for (std::int64_t place = first; place < last; ++place) numbers_.push_back(rows_.row_at(place));
  return read_rows(numbers_);
}

UnitRows UnitRowReader::read_rows(std::span<const std::int64_t> rows) {
  const std::int64_t dim = set_.dim;
  const auto count = static_cast<std::int64_t>(rows.size());
  raw_.resize(static_cast<std::size_t>(count * dim));
  // Rows that follow each other are one read: in a set whose identities follow each other, all.
  for (std::int64_t first = 0, last = 0; first < count; first = last) {
    const std::int64_t row = rows[static_cast<std::size_t>(first)];
    for (last = first + 1; last < count; ++last)
      if (rows[static_cast<std::size_t>(last)] != row + last - first) break;
    set_.read(row, std::span(raw_).subspan(static_cast<std::size_t>(first * dim),
                                           static_cast<std::size_t>((last - first) * dim)));
  }
  UnitRows unit{row_stride(dim), {}};
  unit.values.resize(static_cast<std::size_t>(count * unit.stride));
  std::atomic<std::int64_t> zeros{0};
  const std::int64_t tasks = (count + kRowsATask - 1) / kRowsATask;
  data::parallel_for(0, tasks, tasks > 1 ? threads_ : 1, [&](std::int64_t task, int) {
    for (std::int64_t i = task * kRowsATask; i < std::min(count, (task + 1) * kRowsATask); ++i)
      if (!make_unit(raw_.data() + i * dim, dim, unit.stride, unit.values.data() + i * unit.stride))
        ++zeros;
  });
  zero_rows_ += zeros;
  return unit;
}

}  // namespace diffprob::eval
