#pragma once

#include <algorithm>
#include <cstdint>

#include "prune/tables/sample_range.h"

namespace diffprob::prune {

/// How the rows of a file are dealt to the ranks that read them: block k to rank k mod W. In each
/// round every rank reads one block, so what the ranks send, taken in rank order, is in the order
/// of the sample index, round after round.
class RowBlocks {
 public:
  /// A block is a whole number of chunks of the file (or less, in tests).
  static constexpr std::int64_t kRows = std::int64_t{1} << 18;

  RowBlocks() = default;
  RowBlocks(std::int64_t samples, std::int64_t rows, int rank, int world_size)
      : samples_(samples), rows_(rows), rank_(rank), world_size_(world_size) {}

  [[nodiscard]] std::int64_t samples() const { return samples_; }
  [[nodiscard]] std::int64_t rounds() const {
    return (samples_ + rows_ * world_size_ - 1) / (rows_ * world_size_);
  }
  /// May be empty in the last round.
  [[nodiscard]] SampleRange block(std::int64_t round, int rank) const {
    const std::int64_t first = std::min((round * world_size_ + rank) * rows_, samples_);
    return {first, std::min(first + rows_, samples_)};
  }
  [[nodiscard]] SampleRange own(std::int64_t round) const { return block(round, rank_); }
  /// Rows of all own blocks.
  [[nodiscard]] std::int64_t own_rows() const {
    std::int64_t rows = 0;
    for (std::int64_t round = 0; round < rounds(); ++round) rows += own(round).size();
    return rows;
  }
  /// Own rows of the rounds before, that is where a round's rows lie in an array of own rows: all
  /// blocks before an own one are full.
  [[nodiscard]] std::int64_t own_offset(std::int64_t round) const { return round * rows_; }

 private:
  std::int64_t samples_ = 0;
  std::int64_t rows_ = kRows;
  int rank_ = 0;
  int world_size_ = 1;
};

}  // namespace diffprob::prune
