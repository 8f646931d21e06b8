#include "prune/files/npy_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <numeric>

#include "prune/error.h"
#include "prune/files/npy_header.h"

namespace diffprob::prune {

static_assert(std::endian::native == std::endian::little,
              ".npy arrays are read without conversion");

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::int64_t kMostHeaderBytes = std::int64_t{1} << 16;
constexpr std::int64_t kBlockElements = std::int64_t{1} << 16;

struct TypeName {
  const char* descr;
  NpyType type;
  std::int64_t bytes;
};
constexpr std::array<TypeName, 7> kTypes = {{{"<f2", NpyType::kFloat16, 2},
                                             {"<f4", NpyType::kFloat32, 4},
                                             {"<f8", NpyType::kFloat64, 8},
                                             {"<i4", NpyType::kInt32, 4},
                                             {"<i8", NpyType::kInt64, 8},
                                             {"|u1", NpyType::kUint8, 1},
                                             {"|b1", NpyType::kBool, 1}}};

std::int64_t bytes_of(NpyType type) {
  return std::find_if(kTypes.begin(), kTypes.end(),
                      [&](const TypeName& name) { return name.type == type; })
      ->bytes;
}

NpyType type_of(const std::string& path, const std::string& descr) {
  for (const TypeName& name : kTypes) {
    if (descr == name.descr) return name.type;
  }
  if (descr.find('O') != std::string::npos) {
    throw PruneError(
        path +
        ": an array of Python objects (a pickle), which is never loaded; save plain numbers: "
        "numpy.save(file, numpy.asarray(values, dtype='float64')) or dtype='int64'");
  }
  throw PruneError(
      path + ": elements of type '" + descr.substr(0, 20) +
      "', expected <f2, <f4, <f8, <i4, <i8, |u1 or |b1 (numpy: a.astype('float64') or " +
      "a.astype('int64'))");
}

std::int64_t little_endian(const char* bytes, int count) {
  std::uint64_t value = 0;
  for (int i = count; i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return static_cast<std::int64_t>(value);
}

std::string array_head(const std::string& descr, const std::vector<std::int64_t>& shape) {
  std::string dictionary = npy_header_text({descr, false, shape});
  constexpr std::size_t kAlignment = 64;  // of the first element, as numpy does
  const std::size_t before = kMagic.size() + 4;
  dictionary.append(kAlignment - (before + dictionary.size() + 1) % kAlignment, ' ');
  dictionary += '\n';
  std::string head(kMagic);
  head += '\x01';
  head += '\x00';
  head += static_cast<char>(dictionary.size() & 0xFFU);
  head += static_cast<char>(dictionary.size() >> 8U);
  return head + dictionary;
}

void write_array(const std::string& path, const std::string& descr, const void* values,
                 std::size_t count, std::size_t element_bytes) {
  data::AtomicFile file(path);
  file.write(array_head(descr, {static_cast<std::int64_t>(count)}));
  file.write(std::span(static_cast<const std::byte*>(values), count * element_bytes));
  file.commit();
}

}  // namespace

NpyFile::NpyFile(const std::string& path) : path_(path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    throw PruneError(path + ": cannot open: not a file");
  file_bytes_ = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
  in_.open(path, std::ios::binary);
  if (error || !in_) throw PruneError(path + ": cannot open");
  read_header();
}

void NpyFile::fail(const std::string& what) const {
  throw PruneError(path_ + ": " + what);
}

void NpyFile::read_header() {
  std::array<char, 12> start{};
  in_.read(start.data(), start.size());
  const std::int64_t got = in_.gcount();
  in_.clear();
  if (got < 10 || std::string_view(start.data(), kMagic.size()) != kMagic)
    fail("not a .npy file (numpy.save writes one)");
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3 || start[7] != 0) {
    fail(".npy format " + std::to_string(version) + "." +
         std::to_string(static_cast<unsigned char>(start[7])) +
         ", but this program reads 1.0, 2.0 and 3.0");
  }
  const int length_bytes = version == 1 ? 2 : 4;
  const std::int64_t header_bytes =
      got < 8 + length_bytes ? file_bytes_ : little_endian(start.data() + 8, length_bytes);
  data_begin_ = 8 + length_bytes + header_bytes;
  if (data_begin_ > file_bytes_)
    fail("truncated: a header of " + std::to_string(header_bytes) + " bytes in a file of " +
         std::to_string(file_bytes_));
  if (header_bytes > kMostHeaderBytes)
    fail("a header of " + std::to_string(header_bytes) + " bytes, expected at most 65536");
  std::string text(static_cast<std::size_t>(header_bytes), '\0');
  in_.seekg(8 + length_bytes);
  if (!in_.read(text.data(), header_bytes)) fail("cannot be read");
  const NpyHeader header = parse_npy_header(path_, text);
  type_ = type_of(path_, header.descr);
  shape_ = header.shape;
  if (header.fortran_order)
    fail(
        "the array is in Fortran order; numpy.save(file, numpy.ascontiguousarray(a)) writes it in "
        "C order");
  if (shape_.empty() || shape_.size() > 2)
    fail("an array of " + std::to_string(shape_.size()) + " dimensions, expected 1 or 2");
  // Never more elements than the file could hold: no product overflows.
  const std::int64_t most = (file_bytes_ - data_begin_) / bytes_of(type_);
  std::int64_t elements = 1;
  for (const std::int64_t length : shape_) {
    if (length > 0 && elements > most / length)
      fail("the header announces more elements than the " + std::to_string(most) +
           " in the file (truncated?)");
    elements *= length;
  }
  const std::int64_t expected = data_begin_ + elements * bytes_of(type_);
  if (expected != file_bytes_)
    fail(std::to_string(file_bytes_) + " bytes, expected " + std::to_string(expected) +
         " for the shape in its header");
}

void NpyFile::read_elements(std::int64_t first, std::int64_t count, std::vector<char>& bytes) {
  const std::int64_t width = bytes_of(type_);
  bytes.resize(static_cast<std::size_t>(count * width));
  in_.seekg(data_begin_ + first * width);
  if (count > 0 && !in_.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    fail("cannot be read");
}

template <class T, class Take>
void NpyFile::read_as(std::int64_t first, std::int64_t count, const Take& take) {
  std::vector<char> bytes;
  for (std::int64_t done = 0; done < count; done += kBlockElements) {
    const std::int64_t block = std::min(kBlockElements, count - done);
    read_elements(first + done, block, bytes);
    for (std::int64_t i = 0; i < block; ++i) {
      T value;
      std::memcpy(&value, bytes.data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
      take(static_cast<std::size_t>(done + i), value);
    }
  }
}

void NpyFile::read_row(std::int64_t row, std::span<double> values) {
  const std::int64_t count = columns();
  if (row < 0 || row >= rows() || static_cast<std::int64_t>(values.size()) != count)
    fail("row " + std::to_string(row) + " of " + std::to_string(rows()));
  const auto take = [&](std::size_t i, auto value) { values[i] = static_cast<double>(value); };
  if (type_ == NpyType::kFloat16)
    return read_as<HalfBits>(row * count, count,
                             [&](std::size_t i, HalfBits value) { values[i] = from_half(value); });
  if (type_ == NpyType::kFloat32) return read_as<float>(row * count, count, take);
  if (type_ == NpyType::kFloat64) return read_as<double>(row * count, count, take);
  if (type_ == NpyType::kInt32) return read_as<std::int32_t>(row * count, count, take);
  if (type_ == NpyType::kInt64) return read_as<std::int64_t>(row * count, count, take);
  read_as<std::uint8_t>(row * count, count, take);
}

void NpyFile::check_one_dimension(const char* what) const {
  if (shape_.size() == 1) return;
  fail("an array of shape (" + std::to_string(shape_[0]) + ", " + std::to_string(shape_[1]) +
       "), expected " + what);
}

std::vector<std::int64_t> NpyFile::integers() {
  check_one_dimension("one dimension of whole numbers");
  if (is_float() || type_ == NpyType::kBool)
    fail(std::string("elements are ") + (is_float() ? "floats" : "bools") +
         ", expected whole numbers");
  std::vector<std::int64_t> values(static_cast<std::size_t>(columns()));
  const auto take = [&](std::size_t i, auto value) {
    values[i] = static_cast<std::int64_t>(value);
  };
  if (type_ == NpyType::kInt32) read_as<std::int32_t>(0, columns(), take);
  if (type_ == NpyType::kInt64) read_as<std::int64_t>(0, columns(), take);
  if (type_ == NpyType::kUint8) read_as<std::uint8_t>(0, columns(), take);
  return values;
}

std::vector<std::uint8_t> NpyFile::mask() {
  check_one_dimension("one dimension of bools");
  if (bytes_of(type_) != 1) fail("elements are not bools (numpy: a.astype(bool))");
  std::vector<std::uint8_t> values(static_cast<std::size_t>(columns()));
  read_as<std::uint8_t>(0, columns(), [&](std::size_t i, std::uint8_t value) {
    if (value > 1)
      fail("element " + std::to_string(i) + " is " + std::to_string(value) +
           ", expected 0 or 1 in a mask");
    values[i] = value;
  });
  return values;
}

bool is_npy_file(const std::string& path) {
  std::array<char, kMagic.size()> start{};
  std::ifstream in(path, std::ios::binary);
  in.read(start.data(), start.size());
  return in.gcount() == static_cast<std::streamsize>(start.size()) &&
         std::string_view(start.data(), start.size()) == kMagic;
}

void read_npy_rows(const std::string& path, const TakeRow& take) {
  NpyFile file(path);
  if (!file.is_float())
    throw PruneError(path + ": elements are not floats, expected scores (f2, f4 or f8)");
  if (file.rows() == 0 || file.columns() == 0)
    throw PruneError(path + ": no scores: its shape has a 0");
  std::vector<double> values(static_cast<std::size_t>(file.columns()));
  for (std::int64_t row = 0; row < file.rows(); ++row) {
    file.read_row(row, values);
    const auto bad =
        std::find_if(values.begin(), values.end(), [](double value) { return std::isnan(value); });
    if (bad != values.end()) {
      throw PruneError(path + ": row " + std::to_string(row) + ": the score of sample " +
                       std::to_string(bad - values.begin()) + " is NaN");
    }
    take(row, values);
  }
}

namespace {

template <class T>
const char* descr_of() {
  if (std::is_same_v<T, HalfBits>) return "<f2";
  if (std::is_same_v<T, float>) return "<f4";
  return std::is_same_v<T, double> ? "<f8" : "<i8";
}

}  // namespace

template <class T>
NpyWriter<T>::NpyWriter(const std::string& path, const std::vector<std::int64_t>& shape)
    : path_(path),
      file_(path),
      missing_(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())) {
  file_.write(array_head(descr_of<T>(), shape));
}

template <class T>
void NpyWriter<T>::append(std::span<const T> values) {
  missing_ -= static_cast<std::int64_t>(values.size());
  file_.write(std::as_bytes(values));
}

template <class T>
void NpyWriter<T>::commit() {
  if (missing_ != 0)
    throw PruneError(path_ + ": " + std::to_string(missing_) + " values fewer than its shape has");
  file_.commit();
}

template class NpyWriter<HalfBits>;
template class NpyWriter<float>;
template class NpyWriter<double>;

template <class T>
void write_npy(const std::string& path, std::span<const T> values) {
  write_array(path, descr_of<T>(), values.data(), values.size(), sizeof(T));
}
template void write_npy<float>(const std::string&, std::span<const float>);
template void write_npy<double>(const std::string&, std::span<const double>);
template void write_npy<std::int64_t>(const std::string&, std::span<const std::int64_t>);

void write_npy_mask(const std::string& path, std::span<const std::uint8_t> mask) {
  write_array(path, "|b1", mask.data(), mask.size(), 1);
}

}  // namespace diffprob::prune
