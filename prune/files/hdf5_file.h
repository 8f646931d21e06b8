#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <hdf5.h>

#include "data/files/atomic_file.h"

namespace diffprob::prune {

/// Elements of a full chunk: pieces that begin at multiples of it are read and written fastest.
inline constexpr std::size_t kHdfChunkElements = std::size_t{1} << 18U;

/// Owner of one HDF5 identifier, closed by the function that fits its kind.
class HdfHandle {
 public:
  using Close = herr_t (*)(hid_t);
  HdfHandle() = default;
  HdfHandle(hid_t id, Close close) noexcept : id_(id), close_(close) {}
  ~HdfHandle() { reset(); }
  HdfHandle(const HdfHandle&) = delete;
  HdfHandle& operator=(const HdfHandle&) = delete;
  HdfHandle(HdfHandle&& other) noexcept;
  HdfHandle& operator=(HdfHandle&& other) noexcept;

  [[nodiscard]] hid_t get() const noexcept { return id_; }
  /// Closes; false when HDF5 reports an error.
  bool reset() noexcept;

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// While it lives, HDF5 does not print its error stack: errors become PruneError.
class HdfQuiet {
 public:
  HdfQuiet() noexcept;
  ~HdfQuiet();
  HdfQuiet(const HdfQuiet&) = delete;
  HdfQuiet& operator=(const HdfQuiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// T: std::uint8_t, std::int32_t, std::int64_t, float, double. Little-endian on disk.
template <class T>
hid_t hdf_disk_type();

/// Writes one flat HDF5 file atomically: attributes of the root and one-dimensional datasets. The
/// same content gives the same bytes (no time stamps); metadata and data carry checksums, so that
/// HDF5 itself refuses a damaged file. Every member throws PruneError.
class HdfWriter {
 public:
  explicit HdfWriter(const std::string& path);
  void attribute(const std::string& name,
                 const std::string& value);  ///< up to kMaxText bytes, no NUL
  void attribute(const std::string& name, std::int64_t value);
  void attribute(const std::string& name, double value);
  template <class T>
  void dataset(const std::string& name, std::span<const T> values) {
    write_dataset(name, hdf_disk_type<T>(), values.data(), values.size());
  }
  /// A dataset that is written piece by piece, [count]; what is appended goes to the file chunk by
  /// chunk. finish() must have been called.
  template <class T>
  class Column {
   public:
    void append(std::span<const T> values);
    /// Throws PruneError unless exactly `count` values were appended.
    void finish();

   private:
    friend class HdfWriter;
    Column(const HdfWriter& file, std::string name, std::size_t count);
    void flush();

    const HdfWriter& file_;
    std::string name_;
    std::size_t count_;
    HdfHandle data_;
    std::vector<T> pending_;  // less than a chunk
    std::size_t written_ = 0;
  };
  template <class T>
  [[nodiscard]] Column<T> column(const std::string& name, std::size_t count) const {
    return Column<T>(*this, name, count);
  }
  /// Nothing may be written after it. Without it, no file appears.
  void commit();

  static constexpr std::size_t kMaxText = 4096;

 private:
  template <class T>
  friend class HdfMatrixWriter;
  [[noreturn]] void fail(const std::string& name, const std::string& what) const;
  void write_attribute(const std::string& name, hid_t type, const void* value);
  [[nodiscard]] HdfHandle create_dataset(const std::string& name, hid_t type,
                                         std::size_t count) const;
  void write_dataset(const std::string& name, hid_t type, const void* values, std::size_t count);
  void write_rows(const HdfHandle& data, const std::string& name, hid_t type, const void* values,
                  std::size_t first, std::size_t count) const;

  HdfQuiet quiet_;
  std::string path_;
  data::AtomicFile target_;
  HdfHandle file_;
};

/// Reads such a file. Types must match exactly; no size of the file is believed before it is
/// compared with the bytes that are there.
class HdfReader {
 public:
  explicit HdfReader(const std::string& path);
  /// Attributes `format` and `format_version`: throws unless the format is this one and the version
  /// is 1 to `newest`.
  void check_format(const std::string& format, std::int64_t newest) const;
  [[nodiscard]] bool has_attribute(const std::string& attribute) const;
  [[nodiscard]] std::string text(const std::string& attribute) const;
  [[nodiscard]] std::int64_t integer(const std::string& attribute) const;
  [[nodiscard]] double number(const std::string& attribute) const;
  template <class T>
  [[nodiscard]] std::vector<T> dataset(const std::string& name) const {
    const HdfHandle data = open_dataset(name);
    std::vector<T> values(checked_size(data, name, hdf_disk_type<T>(), sizeof(T)));
    read_dataset(data, name, hdf_disk_type<T>(), values.data());
    return values;
  }
  /// Elements of a dataset of T.
  template <class T>
  [[nodiscard]] std::size_t extent(const std::string& name) const {
    return checked_size(open_dataset(name), name, hdf_disk_type<T>(), sizeof(T));
  }
  /// Rows [first, first + values.size()) of a dataset of T with `rows` elements.
  template <class T>
  void read_rows(const std::string& name, std::size_t rows, std::size_t first,
                 std::span<T> values) const {
    const HdfHandle data = open_dataset(name);
    const std::size_t found = checked_size(data, name, hdf_disk_type<T>(), sizeof(T));
    if (found != rows)
      fail(name, std::to_string(found) + " rows, expected " + std::to_string(rows));
    read_slab(data, name, hdf_disk_type<T>(), first, values.data(), values.size());
  }

 private:
  template <class T>
  friend class HdfMatrixReader;
  friend bool is_half_matrix(const HdfReader& file, const std::string& name);
  [[noreturn]] void fail(const std::string& name, const std::string& what) const;
  [[nodiscard]] HdfHandle open_attribute(const std::string& name) const;
  [[nodiscard]] HdfHandle open_dataset(const std::string& name) const;
  [[nodiscard]] std::size_t checked_size(const HdfHandle& data, const std::string& name, hid_t type,
                                         std::size_t element_bytes) const;
  void check_layout(const HdfHandle& data, const std::string& name) const;
  void read_dataset(const HdfHandle& data, const std::string& name, hid_t type, void* values) const;
  void read_slab(const HdfHandle& data, const std::string& name, hid_t type, std::size_t first,
                 void* values, std::size_t count) const;
  void read_attribute(const std::string& name, hid_t type, void* value) const;

  HdfQuiet quiet_;
  std::string path_;
  std::uint64_t file_bytes_ = 0;
  HdfHandle file_;
};

/// Whether the file begins with the signature of HDF5.
[[nodiscard]] bool is_hdf5_file(const std::string& path);

}  // namespace diffprob::prune
