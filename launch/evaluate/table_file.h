#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace diffprob::launch {

/// Some rows of a column.
struct TableColumn {
  using Values = std::variant<std::span<const std::uint8_t>, std::span<const std::int32_t>,
                              std::span<const std::int64_t>, std::span<const double>>;
  std::string name;
  Values values;
};

/// Forms of a file of columns, told by the suffix.
enum class TableForm {
  kCsv,   ///< .csv: a line with the names, then one line per row
  kNpy,   ///< .npy: one column of float64
  kHdf5,  ///< .h5, .hdf5: one dataset per column
};
/// Throws std::invalid_argument, which says what was expected, for any other suffix.
[[nodiscard]] TableForm table_form(const std::string& path);

/// A file of columns that is written piece by piece and appears whole or not at all. Numbers of a
/// .csv read back to the same values. Every member throws data::DataError that names the file.
class TableFile {
 public:
  /// npy_column: the only one that a .npy gets. kind: attribute "format" of an HDF5 file.
  TableFile(const std::string& path, std::int64_t rows, std::string npy_column,
            const std::string& kind);
  ~TableFile();
  TableFile(const TableFile&) = delete;
  TableFile& operator=(const TableFile&) = delete;

  /// Adds rows: the same columns in the same order each time, all with as many values.
  void append(const std::vector<TableColumn>& columns);
  /// Throws unless all rows were appended.
  void commit();

  struct Writer;

 private:
  std::string path_;
  std::int64_t missing_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace diffprob::launch
