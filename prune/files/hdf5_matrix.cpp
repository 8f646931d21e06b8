#include "prune/files/hdf5_matrix.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

namespace diffprob::prune {
namespace {

/// IEEE binary16, little-endian: what h5py and NumPy call float16.
HdfHandle half_type() {
  HdfHandle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
  constexpr std::size_t kSign = 15, kExponent = 10, kExponentBits = 5, kMantissaBits = 10;
  H5Tset_fields(type.get(), kSign, kExponent, kExponentBits, 0, kMantissaBits);
  H5Tset_size(type.get(), sizeof(HalfBits));
  H5Tset_ebias(type.get(), 15);
  return type;
}

template <class T>
HdfHandle number_type() {
  if constexpr (std::is_same_v<T, HalfBits>)
    return half_type();
  else
    return HdfHandle(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
}

/// A rectangle of the matrix, in memory and on disk.
struct Slab {
  HdfHandle memory;
  HdfHandle disk;
  bool valid = false;
  Slab(const HdfHandle& data, std::array<hsize_t, 2> start, std::array<hsize_t, 2> extent) {
    memory = HdfHandle(H5Screate_simple(2, extent.data(), nullptr), H5Sclose);
    disk = HdfHandle(H5Dget_space(data.get()), H5Sclose);
    valid = H5Sselect_hyperslab(disk.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(),
                                nullptr) >= 0;
  }
};

}  // namespace

template <class T>
HdfMatrixWriter<T>::HdfMatrixWriter(const HdfWriter& file, std::string name, std::size_t rows,
                                    std::size_t columns, HdfChunks chunks)
    : file_(file), name_(std::move(name)), rows_(rows), columns_(columns), type_(number_type<T>()) {
  const std::array<hsize_t, 2> extent = {rows, columns};
  std::array<hsize_t, 2> chunk = {1, std::min(columns, kHdfChunkElements)};
  if (chunks == HdfChunks::kWholeRows && columns > 0)
    chunk[0] = std::min(rows, std::max<std::size_t>(1, kHdfChunkElements / columns));
  const HdfHandle space(H5Screate_simple(2, extent.data(), nullptr), H5Sclose);
  const HdfHandle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(properties.get(), false);
  if (rows > 0 && columns > 0) {
    H5Pset_chunk(properties.get(), 2, chunk.data());
    H5Pset_fletcher32(properties.get());
  }
  data_ = HdfHandle(H5Dcreate2(file.file_.get(), name_.c_str(), type_.get(), space.get(),
                               H5P_DEFAULT, properties.get(), H5P_DEFAULT),
                    H5Dclose);
  if (data_.get() < 0) file_.fail(name_, "dataset not created");
}

template <class T>
void HdfMatrixWriter<T>::append(std::span<const T> rows) {
  const std::size_t count = columns_ == 0 ? 1 : rows.size() / columns_;
  if (count * columns_ != rows.size() || count > rows_ - written_ ||
      (count == 0 && written_ == rows_))
    file_.fail(name_, "row " + std::to_string(written_) + " of " + std::to_string(rows.size()) +
                          " values, announced " + std::to_string(rows_) + " rows of " +
                          std::to_string(columns_));
  if (!rows.empty()) {
    const Slab slab(data_, {written_, 0}, {count, columns_});
    if (!slab.valid || H5Dwrite(data_.get(), type_.get(), slab.memory.get(), slab.disk.get(),
                                H5P_DEFAULT, rows.data()) < 0)
      file_.fail(name_, "row " + std::to_string(written_) + " not written");
  }
  written_ += count;
}

template <class T>
void HdfMatrixWriter<T>::finish() {
  if (written_ != rows_)
    file_.fail(name_, std::to_string(written_) + " rows, " + std::to_string(rows_) + " announced");
  if (!data_.reset()) file_.fail(name_, "dataset not closed");
}

template <class T>
HdfMatrixReader<T>::HdfMatrixReader(const HdfReader& file, std::string name)
    : file_(file),
      name_(std::move(name)),
      type_(number_type<T>()),
      data_(file.open_dataset(name_)) {
  file.check_layout(data_, name_);
  const HdfHandle found(H5Dget_type(data_.get()), H5Tclose);
  if (H5Tequal(found.get(), type_.get()) <= 0)
    file.fail(name_, std::string("the element type of the dataset differs from the format, ") +
                         (std::is_same_v<T, HalfBits> ? "float16" : "float32"));
  const HdfHandle space(H5Dget_space(data_.get()), H5Sclose);
  std::array<hsize_t, 2> extent{};
  if (H5Sget_simple_extent_ndims(space.get()) != 2 ||
      H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr) != 2)
    file.fail(name_, "dataset is not two-dimensional");
  const std::uint64_t most = file.file_bytes_ / sizeof(T);
  if (extent[0] > most || extent[1] > most || (extent[1] > 0 && extent[0] > most / extent[1]))
    file.fail(name_, std::to_string(extent[0]) + " rows of " + std::to_string(extent[1]) +
                         " values do not fit in the file");
  if (H5Dget_storage_size(data_.get()) < extent[0] * extent[1] * sizeof(T))
    file.fail(name_, "the file holds less data than its extent announces");
  rows_ = extent[0];
  columns_ = extent[1];
}

template <class T>
void HdfMatrixReader<T>::read(std::size_t row, std::size_t first, std::span<T> values) const {
  if (values.empty()) return;
  if (row >= rows_ || first > columns_ || values.size() > columns_ - first)
    file_.fail(name_, "row " + std::to_string(row) + ", columns from " + std::to_string(first) +
                          ": outside the dataset");
  const Slab slab(data_, {row, first}, {1, values.size()});
  if (!slab.valid || H5Dread(data_.get(), type_.get(), slab.memory.get(), slab.disk.get(),
                             H5P_DEFAULT, values.data()) < 0)
    file_.fail(name_, "row " + std::to_string(row) + " cannot be read; the file is corrupted");
}

template <class T>
void HdfMatrixReader<T>::read_rows(std::size_t first, std::span<T> values) const {
  if (values.empty()) return;
  const std::size_t count = columns_ == 0 ? 0 : values.size() / columns_;
  if (count * columns_ != values.size() || first > rows_ || count > rows_ - first)
    file_.fail(name_, std::to_string(values.size()) + " values from row " + std::to_string(first) +
                          " on: outside the dataset");
  const Slab slab(data_, {first, 0}, {count, columns_});
  if (!slab.valid || H5Dread(data_.get(), type_.get(), slab.memory.get(), slab.disk.get(),
                             H5P_DEFAULT, values.data()) < 0)
    file_.fail(name_,
               "rows from " + std::to_string(first) + " on cannot be read; the file is corrupted");
}

template class HdfMatrixWriter<HalfBits>;
template class HdfMatrixWriter<float>;
template class HdfMatrixReader<HalfBits>;
template class HdfMatrixReader<float>;

bool is_half_matrix(const HdfReader& file, const std::string& name) {
  const HdfHandle data(H5Dopen2(file.file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (data.get() < 0) return false;
  const HdfHandle found(H5Dget_type(data.get()), H5Tclose);
  return H5Tequal(found.get(), half_type().get()) > 0;
}

}  // namespace diffprob::prune
