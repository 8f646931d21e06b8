#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "prune/files/half.h"
#include "prune/files/hdf5_file.h"

namespace diffprob::prune {

/// How a matrix is cut into chunks.
enum class HdfChunks {
  kPartsOfRows,  ///< a part of one row each: one row and one range of columns are cheap to read
  kWholeRows,    ///< as many whole rows as fit, at least one: ranges of rows are cheap to read
};

/// A dataset [rows, columns] that is written from its first row to its last. finish() must have
/// been called. Members throw PruneError. T: HalfBits (float16) or float.
template <class T>
class HdfMatrixWriter {
 public:
  HdfMatrixWriter(const HdfWriter& file, std::string name, std::size_t rows, std::size_t columns,
                  HdfChunks chunks);
  /// One row or several.
  void append(std::span<const T> rows);
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
template <class T>
class HdfMatrixReader {
 public:
  HdfMatrixReader(const HdfReader& file, std::string name);
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
  /// Columns [first, first + values.size()) of a row.
  void read(std::size_t row, std::size_t first, std::span<T> values) const;
  /// Whole rows from `first` on, as many as `values` holds.
  void read_rows(std::size_t first, std::span<T> values) const;

 private:
  const HdfReader& file_;
  std::string name_;
  HdfHandle type_;
  HdfHandle data_;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
};

/// Returns true if the dataset is there and its elements are float16.
[[nodiscard]] bool is_half_matrix(const HdfReader& file, const std::string& name);

}  // namespace diffprob::prune
