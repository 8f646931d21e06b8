#include "data/sets/verification_set.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/files/input_file.h"
#include "data/pickle/reader.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kLargestFile = std::int64_t{1} << 34;
constexpr std::size_t kLargestImage = std::size_t{1} << 28;

const PickleGlobals& allowed_globals() {
  static const PickleGlobals names = {
      "_codecs.encode",
      "numpy.dtype",
      "numpy.ndarray",
      "numpy.core.multiarray._reconstruct",
      "numpy._core.multiarray._reconstruct",
      "numpy.core.multiarray.scalar",
      "numpy._core.multiarray.scalar",
      "numpy.core.numeric._frombuffer",
      "numpy._core.numeric._frombuffer",
  };
  return names;
}

/// Name inside numpy.core.* or, since NumPy 2, numpy._core.*.
bool is_numpy_call(const PickleValue& value, std::string_view name) {
  return value.is_call("numpy.core." + std::string(name)) ||
         value.is_call("numpy._core." + std::string(name));
}

/// `_codecs.encode(text, 'latin1')`: how Python 3 writes bytes in protocol 2. The text is UTF-8;
/// code points up to 255 are the bytes.
std::string decode_latin1(const PickleValue& call) {
  const auto& arguments = call.arguments->as_tuple(2);
  const auto& encoding = arguments[1]->as_text();
  if (encoding != "latin1" && encoding != "latin-1")
    call.fail("_codecs.encode to an encoding other than latin1");
  const auto& text = arguments[0]->as_text();
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
      continue;
    }
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if ((lead != 0xC2 && lead != 0xC3) || (next & 0xC0u) != 0x80u)
      call.fail("latin1 text with a character above 255");
    bytes += static_cast<char>((lead & 3u) << 6 | (next & 0x3Fu));
    ++i;
  }
  return bytes;
}

/// Bytes in any of the forms that Python writes. A latin1 text is decoded into `storage`;
/// everything else is viewed in place.
std::string_view bytes_of(const PickleValue& value, std::string& storage) {
  if (!value.is_call("_codecs.encode")) return value.as_text();
  storage = decode_latin1(value);
  return storage;
}

/// Type of a numpy dtype without byte order: "u1", "b1".
std::string_view dtype_of(const PickleValue& value) {
  if (!value.is_call("numpy.dtype")) value.fail("expected a numpy.dtype");
  const auto& arguments = value.arguments->as_tuple();
  if (arguments.empty()) value.fail("numpy.dtype without a type");
  std::string_view name = arguments[0]->as_text();
  if (name.starts_with('|')) name.remove_prefix(1);
  return name;
}

/// A shape with at most one dimension above 1 and `length` elements: (n,), (n, 1), (1, n).
void check_vector_shape(const PickleValue& shape, std::size_t length) {
  const auto& dimensions = shape.as_tuple();
  std::size_t elements = dimensions.empty() ? 0 : 1;
  int long_dimensions = 0;
  for (const auto* dimension : dimensions) {
    const auto extent = dimension->as_int();
    if (extent == 1) continue;
    ++long_dimensions;
    elements = extent < 0 ? 0 : static_cast<std::size_t>(extent);
  }
  if (long_dimensions > 1)
    shape.fail("expected a one-dimensional numpy array of shape (n,) or (n, 1)");
  if (elements != length)
    shape.fail("numpy shape of " + std::to_string(elements) + " elements, but the data holds " +
               std::to_string(length));
}

/// Raw bytes of a numpy vector whose type is `type` (one byte an element); false when `value` is no
/// numpy array.
bool array_bytes(const PickleValue& value, std::string_view type, std::string& storage,
                 std::string_view& bytes) {
  const PickleValue* shape = nullptr;
  const PickleValue* dtype = nullptr;
  if (is_numpy_call(value, "multiarray._reconstruct")) {
    if (value.state == nullptr) value.fail("numpy array without a state");
    const auto& state = value.state->as_tuple(5);  // version, shape, dtype, Fortran order, data
    shape = state[1];
    dtype = state[2];
    bytes = bytes_of(*state[4], storage);
  } else if (is_numpy_call(value, "numeric._frombuffer")) {
    const auto& arguments = value.arguments->as_tuple(4);  // data, dtype, shape, order
    dtype = arguments[1];
    shape = arguments[2];
    bytes = bytes_of(*arguments[0], storage);
  } else {
    return false;
  }
  if (const auto found = dtype_of(*dtype); found != type)
    value.fail("numpy array of a type other than " + std::string(type) + " (" +
               std::string(found.substr(0, 20)) + ")");
  check_vector_shape(*shape, bytes.size());
  return true;
}

std::string_view image_bytes(const PickleValue& value, std::string& storage) {
  std::string_view bytes;
  if (!array_bytes(value, "u1", storage, bytes)) bytes = bytes_of(value, storage);
  if (bytes.empty()) value.fail("an image without bytes");
  if (bytes.size() > kLargestImage)
    value.fail("an image of " + std::to_string(bytes.size()) + " bytes");
  return bytes;
}

bool flag_of(const PickleValue& value) {
  if (value.is(PickleKind::kBool)) return value.as_bool();
  std::int64_t number = -1;
  if (is_numpy_call(value, "multiarray.scalar")) {
    const auto& arguments = value.arguments->as_tuple(2);
    if (dtype_of(*arguments[0]) != "b1") value.fail("numpy scalar of a type other than bool");
    std::string storage;
    const auto bytes = bytes_of(*arguments[1], storage);
    if (bytes.size() == 1) number = bytes[0];
  } else {
    number = value.as_int();
  }
  if (number != 0 && number != 1) value.fail("expected a same / not same flag");
  return number == 1;
}

std::vector<bool> read_flags(const PickleValue& value) {
  std::vector<bool> same;
  std::string storage;
  std::string_view bytes;
  if (array_bytes(value, "b1", storage, bytes)) {
    for (const char c : bytes) {
      if (c != 0 && c != 1) value.fail("a numpy bool that is neither 0 nor 1");
      same.push_back(c == 1);
    }
    return same;
  }
  for (const auto* item : value.as_list()) same.push_back(flag_of(*item));
  return same;
}

/// A pickle may name one image many times (that is legitimate: a face occurs in several pairs).
/// Copies are bounded all the same.
std::vector<std::vector<std::byte>> read_images(const PickleValue& value, std::size_t file_size) {
  const std::size_t most = 64 * file_size + (std::size_t{1} << 28);
  std::size_t total = 0;
  std::vector<std::vector<std::byte>> images;
  images.reserve(value.as_list().size());
  std::string storage;
  for (const auto* item : value.as_list()) {
    const auto bytes = std::as_bytes(std::span(image_bytes(*item, storage)));
    total += bytes.size();
    if (total > most)
      item->fail("images are repeated too often (more than " + std::to_string(most) +
                 " bytes in total)");
    images.emplace_back(bytes.begin(), bytes.end());
  }
  return images;
}

std::string set_name(const std::string& path) {
  const std::filesystem::path file(path);
  return file.extension() == ".bin" ? file.stem().string() : file.filename().string();
}

void append_unsigned(std::string& out, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

void check_counts(const std::string& path, std::size_t images, std::size_t pairs) {
  if (pairs == 0) throw DataError(path + ": no pairs");
  if (images != 2 * pairs)
    throw DataError(path + ": " + std::to_string(images) + " images for " + std::to_string(pairs) +
                    " pairs, expected " + std::to_string(2 * pairs));
}

}  // namespace

VerificationSet read_verification_bin(const std::string& path) {
  std::vector<std::byte> bytes;
  read_whole_file(path, kLargestFile, bytes);
  const Pickle pickle = read_pickle(bytes, allowed_globals(), path);
  if (pickle.consumed() != bytes.size())
    throw DataError(path + ": " + std::to_string(bytes.size() - pickle.consumed()) +
                    " extra bytes after the pickle");
  const auto size = bytes.size();
  std::vector<std::byte>().swap(bytes);  // the pickle holds copies
  const auto& parts = pickle.root().as_tuple(2);
  VerificationSet set;
  set.name = set_name(path);
  set.same = read_flags(*parts[1]);
  check_counts(path, parts[0]->as_list().size(), set.same.size());
  set.images = read_images(*parts[0], size);
  return set;
}

void write_verification_bin(const std::string& path, const VerificationSet& set) {
  check_counts(path, set.images.size(), set.same.size());
  AtomicFile file(path);
  file.write(std::string_view("\x80\x02](", 4));  // PROTO 2, EMPTY_LIST, MARK
  for (const auto& image : set.images) {
    if (image.empty() || image.size() > kLargestImage)
      throw DataError(path + ": an image of " + std::to_string(image.size()) +
                      " bytes cannot be written");
    std::string head(1, image.size() < 256 ? 'U' : 'T');  // SHORT_BINSTRING, BINSTRING
    append_unsigned(head, image.size(), image.size() < 256 ? 1 : 4);
    file.write(head);
    file.write(image);
  }
  file.write("e](");  // APPENDS, EMPTY_LIST, MARK
  for (const bool same : set.same) file.write(same ? "\x88" : "\x89");
  file.write("e\x86.");  // APPENDS, TUPLE2, STOP
  file.commit();
}

}  // namespace diffprob::data
