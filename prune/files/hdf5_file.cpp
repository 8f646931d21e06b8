#include "prune/files/hdf5_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include "data/files/stand_in.h"
#include "prune/error.h"

namespace diffprob::prune {

// Values go from memory to disk without conversion.
static_assert(std::endian::native == std::endian::little,
              "the HDF5 files of prune need a little-endian host");

namespace {

/// "file write failed: time = ..., errno = 5, error message = 'Input/output error', buf = ..." ->
/// "file write failed: Input/output error"
std::string without_details(const std::string& description) {
  constexpr std::string_view kSystemError = "error message = '";
  const std::size_t begin = description.find(kSystemError);
  if (begin == std::string::npos) return description;
  const std::size_t text = begin + kSystemError.size();
  return description.substr(0, description.find_first_of(":,")) + ": " +
         description.substr(text, description.find('\'', text) - text);
}

/// What HDF5 says of the last failure: the innermost description of its error stack. The next call
/// of HDF5, even one that closes a handle, empties that stack.
std::string last_error() {
  std::string description;
  const auto take_first = [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
    auto& found = *static_cast<std::string*>(text);
    if (found.empty() && error->desc != nullptr) found = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_first, &description);
  return description.empty() ? "" : " (HDF5: " + without_details(description) + ")";
}

HdfHandle text_type(std::size_t bytes) {
  HdfHandle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), bytes);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  return type;
}

/// Checksummed chunks; no time stamp, so that equal content gives equal bytes.
HdfHandle dataset_properties(std::size_t count) {
  HdfHandle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(properties.get(), false);
  if (count > 0) {
    const hsize_t chunk = std::min(count, kHdfChunkElements);
    H5Pset_chunk(properties.get(), 1, &chunk);
    H5Pset_fletcher32(properties.get());
  }
  return properties;
}

HdfHandle create_file(const std::string& path) {
  const HdfHandle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation.get(), false);
  // Keeps all names and attributes in the one checksummed header of the root group.
  H5Pset_link_phase_change(creation.get(), 64, 32);
  H5Pset_attr_phase_change(creation.get(), 64, 32);
  const HdfHandle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // Superblock 3 and object headers 2: both have checksums; readable by HDF5 1.10 and later.
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  HdfHandle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
  if (file.get() < 0) throw PruneError(path + ": cannot create the HDF5 file" + last_error());
  return file;
}

}  // namespace

HdfHandle::HdfHandle(HdfHandle&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}

HdfHandle& HdfHandle::operator=(HdfHandle&& other) noexcept {
  if (this != &other) {
    reset();
    id_ = std::exchange(other.id_, H5I_INVALID_HID);
    close_ = other.close_;
  }
  return *this;
}

bool HdfHandle::reset() noexcept {
  return id_ < 0 || close_(std::exchange(id_, H5I_INVALID_HID)) >= 0;
}

HdfQuiet::HdfQuiet() noexcept {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

HdfQuiet::~HdfQuiet() {
  H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

template <>
hid_t hdf_disk_type<std::uint8_t>() {
  return H5T_STD_U8LE;
}
template <>
hid_t hdf_disk_type<std::int32_t>() {
  return H5T_STD_I32LE;
}
template <>
hid_t hdf_disk_type<std::int64_t>() {
  return H5T_STD_I64LE;
}
template <>
hid_t hdf_disk_type<float>() {
  return H5T_IEEE_F32LE;
}
template <>
hid_t hdf_disk_type<double>() {
  return H5T_IEEE_F64LE;
}

HdfWriter::HdfWriter(const std::string& path)
    : path_(path), target_(path), file_(create_file(target_.temporary_path())) {}

void HdfWriter::fail(const std::string& name, const std::string& what) const {
  throw PruneError(path_ + ": cannot write " + name + ": " + what + last_error());
}

void HdfWriter::attribute(const std::string& name, const std::string& value) {
  if (value.size() > kMaxText || value.find('\0') != std::string::npos) {
    fail(name, std::to_string(value.size()) + " bytes of text, expected at most " +
                   std::to_string(kMaxText) + " and no NUL");
  }
  const HdfHandle type = text_type(std::max<std::size_t>(value.size(), 1));
  write_attribute(name, type.get(), value.c_str());
}

void HdfWriter::attribute(const std::string& name, std::int64_t value) {
  write_attribute(name, hdf_disk_type<std::int64_t>(), &value);
}

void HdfWriter::attribute(const std::string& name, double value) {
  write_attribute(name, hdf_disk_type<double>(), &value);
}

void HdfWriter::write_attribute(const std::string& name, hid_t type, const void* value) {
  const HdfHandle space(H5Screate(H5S_SCALAR), H5Sclose);
  const HdfHandle attribute(
      H5Acreate2(file_.get(), name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (attribute.get() < 0) fail(name, "attribute not created");
  if (H5Awrite(attribute.get(), type, value) < 0) fail(name, "attribute not written");
}

HdfHandle HdfWriter::create_dataset(const std::string& name, hid_t type, std::size_t count) const {
  const hsize_t extent = count;
  const HdfHandle space(H5Screate_simple(1, &extent, nullptr), H5Sclose);
  const HdfHandle properties = dataset_properties(count);
  HdfHandle data(H5Dcreate2(file_.get(), name.c_str(), type, space.get(), H5P_DEFAULT,
                            properties.get(), H5P_DEFAULT),
                 H5Dclose);
  if (data.get() < 0) fail(name, "dataset not created");
  return data;
}

void HdfWriter::write_rows(const HdfHandle& data, const std::string& name, hid_t type,
                           const void* values, std::size_t first, std::size_t count) const {
  const hsize_t start = first;
  const hsize_t extent = count;
  const HdfHandle memory(H5Screate_simple(1, &extent, nullptr), H5Sclose);
  const HdfHandle disk(H5Dget_space(data.get()), H5Sclose);
  if (H5Sselect_hyperslab(disk.get(), H5S_SELECT_SET, &start, nullptr, &extent, nullptr) < 0 ||
      H5Dwrite(data.get(), type, memory.get(), disk.get(), H5P_DEFAULT, values) < 0) {
    fail(name,
         "rows " + std::to_string(first) + " to " + std::to_string(first + count) + " not written");
  }
}

template <class T>
HdfWriter::Column<T>::Column(const HdfWriter& file, std::string name, std::size_t count)
    : file_(file),
      name_(std::move(name)),
      count_(count),
      data_(file.create_dataset(name_, hdf_disk_type<T>(), count)) {}

template <class T>
void HdfWriter::Column<T>::append(std::span<const T> values) {
  while (!values.empty()) {
    const std::size_t taken = std::min(values.size(), kHdfChunkElements - pending_.size());
    pending_.insert(pending_.end(), values.begin(),
                    values.begin() + static_cast<std::ptrdiff_t>(taken));
    values = values.subspan(taken);
    if (pending_.size() == kHdfChunkElements) flush();
  }
}

template <class T>
void HdfWriter::Column<T>::flush() {
  if (written_ + pending_.size() > count_)
    file_.fail(name_, "more values than the " + std::to_string(count_) + " announced");
  file_.write_rows(data_, name_, hdf_disk_type<T>(), pending_.data(), written_, pending_.size());
  written_ += pending_.size();
  pending_.clear();
}

template <class T>
void HdfWriter::Column<T>::finish() {
  if (!pending_.empty()) flush();
  if (written_ != count_)
    file_.fail(name_,
               std::to_string(written_) + " values, " + std::to_string(count_) + " announced");
  if (!data_.reset()) file_.fail(name_, "dataset not closed");
}

template class HdfWriter::Column<std::uint8_t>;
template class HdfWriter::Column<std::int32_t>;
template class HdfWriter::Column<std::int64_t>;
template class HdfWriter::Column<float>;
template class HdfWriter::Column<double>;

void HdfWriter::write_dataset(const std::string& name, hid_t type, const void* values,
                              std::size_t count) {
  const HdfHandle data = create_dataset(name, type, count);
  if (count > 0 && H5Dwrite(data.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
    fail(name, "dataset not written");
}

void HdfWriter::commit() {
  if (H5Fflush(file_.get(), H5F_SCOPE_LOCAL) < 0 || !file_.reset())
    fail("the file", "flush and close failed");
  target_.commit();
}

HdfReader::HdfReader(const std::string& path) : path_(path) {
  std::error_code error;
  file_bytes_ = std::filesystem::file_size(path, error);
  if (error) throw PruneError(path + ": cannot open: " + error.message());
  file_ = HdfHandle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (file_.get() < 0) {
    const std::string instead = data::stand_in_text(path);
    throw PruneError(path + ": " +
                     (instead.empty() ? "not a whole HDF5 file" + last_error() : instead));
  }
}

void HdfReader::fail(const std::string& name, const std::string& what) const {
  throw PruneError(path_ + ": " + name + ": " + what + last_error());
}

void HdfReader::check_format(const std::string& format, std::int64_t newest) const {
  const std::string found = text("format");
  if (found != format) fail("format", "found '" + found + "', expected '" + format + "'");
  const std::int64_t version = integer("format_version");
  if (version < 1 || version > newest) {
    fail("format_version", "found " + std::to_string(version) + ", but this program reads 1 to " +
                               std::to_string(newest));
  }
}

bool HdfReader::has_attribute(const std::string& attribute) const {
  const htri_t there = H5Aexists(file_.get(), attribute.c_str());
  if (there < 0) fail(attribute, "attributes cannot be read; the file is corrupted");
  return there > 0;
}

HdfHandle HdfReader::open_attribute(const std::string& name) const {
  HdfHandle attribute(H5Aopen(file_.get(), name.c_str(), H5P_DEFAULT), H5Aclose);
  if (attribute.get() < 0) fail(name, "no such attribute");
  const HdfHandle space(H5Aget_space(attribute.get()), H5Sclose);
  if (H5Sget_simple_extent_npoints(space.get()) != 1) fail(name, "attribute is not a single value");
  return attribute;
}

void HdfReader::read_attribute(const std::string& name, hid_t type, void* value) const {
  const HdfHandle attribute = open_attribute(name);
  const HdfHandle found(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tequal(found.get(), type) <= 0)
    fail(name, "the type of the attribute differs from the format");
  if (H5Aread(attribute.get(), type, value) < 0) fail(name, "attribute cannot be read");
}

std::string HdfReader::text(const std::string& name) const {
  const HdfHandle attribute = open_attribute(name);
  const HdfHandle found(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tget_class(found.get()) != H5T_STRING || H5Tis_variable_str(found.get()) != 0)
    fail(name, "attribute is not a string of fixed length");
  const std::size_t bytes = H5Tget_size(found.get());
  if (bytes == 0 || bytes > HdfWriter::kMaxText)
    fail(name, std::to_string(bytes) + " bytes of text, expected 1 to 4096");
  std::string value(bytes, '\0');
  if (H5Aread(attribute.get(), text_type(bytes).get(), value.data()) < 0)
    fail(name, "attribute cannot be read");
  value.resize(value.find_last_not_of('\0') + 1);
  return value;
}

std::int64_t HdfReader::integer(const std::string& attribute) const {
  std::int64_t value = 0;
  read_attribute(attribute, hdf_disk_type<std::int64_t>(), &value);
  return value;
}

double HdfReader::number(const std::string& attribute) const {
  double value = 0;
  read_attribute(attribute, hdf_disk_type<double>(), &value);
  return value;
}

HdfHandle HdfReader::open_dataset(const std::string& name) const {
  // Only what lies in this file: a soft or external link could lead anywhere.
  H5L_info_t link;
  if (H5Lget_info(file_.get(), name.c_str(), &link, H5P_DEFAULT) < 0) fail(name, "no such dataset");
  if (link.type != H5L_TYPE_HARD) fail(name, "is a link, expected a dataset of this file");
  HdfHandle data(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), H5Dclose);
  if (data.get() < 0) fail(name, "cannot be read as a dataset");
  return data;
}

void HdfReader::check_layout(const HdfHandle& data, const std::string& name) const {
  const HdfHandle properties(H5Dget_create_plist(data.get()), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  const bool inside = layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED;
  if (!inside || H5Pget_external_count(properties.get()) != 0)
    fail(name, "data lies outside this file");
}

std::size_t HdfReader::checked_size(const HdfHandle& data, const std::string& name, hid_t type,
                                    std::size_t element_bytes) const {
  check_layout(data, name);
  const HdfHandle found(H5Dget_type(data.get()), H5Tclose);
  if (H5Tequal(found.get(), type) <= 0)
    fail(name, "the element type of the dataset differs from the format");
  const HdfHandle space(H5Dget_space(data.get()), H5Sclose);
  hsize_t extent = 0;
  if (H5Sget_simple_extent_ndims(space.get()) != 1 ||
      H5Sget_simple_extent_dims(space.get(), &extent, nullptr) != 1) {
    fail(name, "dataset is not one-dimensional");
  }
  if (extent > file_bytes_ / element_bytes) {
    fail(name, std::to_string(extent) + " elements of " + std::to_string(element_bytes) +
                   " bytes do not fit in a file of " + std::to_string(file_bytes_) + " bytes");
  }
  if (extent > 0 && H5Dget_storage_size(data.get()) < extent * element_bytes)
    fail(name, "the file holds less data than its extent announces");
  return extent;
}

void HdfReader::read_dataset(const HdfHandle& data, const std::string& name, hid_t type,
                             void* values) const {
  if (values == nullptr) return;  // no elements
  if (H5Dread(data.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
    fail(name, "data cannot be read; the file is corrupted");
}

void HdfReader::read_slab(const HdfHandle& data, const std::string& name, hid_t type,
                          std::size_t first, void* values, std::size_t count) const {
  if (count == 0) return;
  const hsize_t start = first;
  const hsize_t extent = count;
  const HdfHandle memory(H5Screate_simple(1, &extent, nullptr), H5Sclose);
  const HdfHandle disk(H5Dget_space(data.get()), H5Sclose);
  if (H5Sselect_hyperslab(disk.get(), H5S_SELECT_SET, &start, nullptr, &extent, nullptr) < 0 ||
      H5Dread(data.get(), type, memory.get(), disk.get(), H5P_DEFAULT, values) < 0) {
    fail(name, "rows " + std::to_string(first) + " to " + std::to_string(first + count) +
                   " cannot be read; the file is corrupted");
  }
}

bool is_hdf5_file(const std::string& path) {
  constexpr std::array<char, 8> kSignature = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::array<char, 8> start{};
  std::ifstream in(path, std::ios::binary);
  in.read(start.data(), start.size());
  return in.gcount() == static_cast<std::streamsize>(start.size()) && start == kSignature;
}

}  // namespace diffprob::prune
