#pragma once

#include <cstdint>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/files/atomic_file.h"
#include "prune/files/half.h"

namespace diffprob::prune {

enum class NpyType { kFloat16, kFloat32, kFloat64, kInt32, kInt64, kUint8, kBool };

/// One array of a .npy file: format 1.0, 2.0 or 3.0, little-endian f2, f4, f8, i4, i8, u1 or b1, C
/// order, one or two dimensions. The header and the size of the file are checked on opening, so
/// nothing is allocated for bytes that are not there. Objects (pickles), records, Fortran order,
/// other types and bytes behind the array are refused. Every member throws PruneError that names
/// the file.
class NpyFile {
 public:
  explicit NpyFile(const std::string& path);
  [[nodiscard]] NpyType type() const noexcept { return type_; }
  [[nodiscard]] bool is_float() const noexcept {
    return type_ == NpyType::kFloat16 || type_ == NpyType::kFloat32 || type_ == NpyType::kFloat64;
  }
  [[nodiscard]] std::size_t dimensions() const noexcept { return shape_.size(); }
  /// [N] is one row of N, [E, N] is E rows of N.
  [[nodiscard]] std::int64_t rows() const noexcept { return shape_.size() == 2 ? shape_[0] : 1; }
  [[nodiscard]] std::int64_t columns() const noexcept { return shape_.back(); }

  /// values: [columns]; 0 <= row < rows. Any type, widened (i8 beyond 2^53 is rounded).
  void read_row(std::int64_t row, std::span<double> values);
  /// The whole of a one-dimensional array of i4, i8 or u1.
  [[nodiscard]] std::vector<std::int64_t> integers();
  /// The whole of a one-dimensional array of b1 or u1: 0 or 1 each, anything else is an error.
  [[nodiscard]] std::vector<std::uint8_t> mask();

 private:
  [[noreturn]] void fail(const std::string& what) const;
  void read_header();
  void check_one_dimension(const char* what) const;
  /// Bytes of elements [first, first + count) into `bytes`.
  void read_elements(std::int64_t first, std::int64_t count, std::vector<char>& bytes);
  template <class T, class Take>
  void read_as(std::int64_t first, std::int64_t count, const Take& take);

  std::string path_;
  std::ifstream in_;
  std::int64_t file_bytes_ = 0;
  std::int64_t data_begin_ = 0;
  NpyType type_ = NpyType::kFloat32;
  std::vector<std::int64_t> shape_;
};

/// Whether the file begins as a .npy does.
[[nodiscard]] bool is_npy_file(const std::string& path);

/// Row r of an array of scores, values [N]. The span ends with the call.
using TakeRow = std::function<void(std::int64_t row, std::span<const double> values)>;
/// Hands over the rows of a .npy of f2, f4 or f8 ([N]: one row; [E, N]: one row an epoch), in
/// order, holding one at a time (8 bytes a column). NaN is an error that names row and column.
/// Throws PruneError, and whatever `take` throws.
void read_npy_rows(const std::string& path, const TakeRow& take);

/// Writes an array, format 1.0 and C order, piece by piece: the file appears whole or not at all.
/// T: HalfBits, float or double. Every member throws PruneError or data::DataError that names the
/// file.
template <class T>
class NpyWriter {
 public:
  NpyWriter(const std::string& path, const std::vector<std::int64_t>& shape);
  void append(std::span<const T> values);
  /// Throws PruneError unless as many values were appended as the shape has.
  void commit();

 private:
  std::string path_;
  data::AtomicFile file_;
  std::int64_t missing_;
};

/// Writes a one-dimensional array, format 1.0, atomically. T: float, double, std::int64_t. Throws
/// PruneError.
template <class T>
void write_npy(const std::string& path, std::span<const T> values);
/// Type b1; `mask`: 0 or 1 each.
void write_npy_mask(const std::string& path, std::span<const std::uint8_t> mask);

}  // namespace diffprob::prune
