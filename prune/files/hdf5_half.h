#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "prune/files/half.h"
#include "prune/files/hdf5_file.h"

namespace diffprob::prune {

/// A dataset [rows, columns] of float16 that is written row by row. A chunk holds a part of one
/// row, so that one row and one range of columns are cheap to read. finish() must have been called.
/// Members throw PruneError.
class HdfHalfWriter {
 public:
  HdfHalfWriter(const HdfWriter& file, std::string name, std::size_t rows, std::size_t columns);
  void append(std::span<const HalfBits> row);
  void finish();

 private:
  const HdfWriter& file_;
  std::string name_;
  std::size_t rows_;
  std::size_t columns_;
  HdfHandle type_;
  HdfHandle data_;
  std::size_t written_ = 0;
};

/// Reads such a dataset. Its size is compared with the bytes of the file before it is believed.
class HdfHalfReader {
 public:
  HdfHalfReader(const HdfReader& file, std::string name);
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
  /// Columns [first, first + values.size()) of a row.
  void read(std::size_t row, std::size_t first, std::span<HalfBits> values) const;

 private:
  const HdfReader& file_;
  std::string name_;
  HdfHandle type_;
  HdfHandle data_;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
};

}  // namespace diffprob::prune
