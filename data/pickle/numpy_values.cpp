#include "data/pickle/numpy_values.h"

#include <charconv>
#include <cstdint>
#include <cstring>

namespace diffprob::data {
namespace {

/// Name inside numpy.core.* or, since NumPy 2, numpy._core.*.
bool is_numpy_call(const PickleValue& value, std::string_view name) {
  return value.is_call("numpy.core." + std::string(name)) ||
         value.is_call("numpy._core." + std::string(name));
}

bool is_bytearray(const PickleValue& value) {
  return value.is_call("builtins.bytearray") || value.is_call("__builtin__.bytearray");
}

/// `_codecs.encode(text, 'latin1')`: how Python 3 writes bytes in protocol 2. The text is UTF-8;
/// code points up to 255 are the bytes.
/// Python 2 and protocol 2 write a bytearray as `bytearray(text, 'latin-1')`.
std::string decode_latin1(const PickleValue& call) {
  const auto& arguments = call.arguments->as_tuple(2);
  const auto& encoding = arguments[1]->as_text();
  if (encoding != "latin1" && encoding != "latin-1")
    call.fail(call.callable->text + " to an encoding other than latin1");
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

struct Dtype {
  std::string_view name;  // without byte order
  std::size_t width = 0;  // bytes an element
};

/// numpy.dtype(name) with its state (version, byte order, ...).
Dtype dtype_of(const PickleValue& value) {
  if (!value.is_call("numpy.dtype")) value.fail("expected a numpy.dtype");
  const auto& arguments = value.arguments->as_tuple();
  if (arguments.empty()) value.fail("numpy.dtype without a type");
  Dtype dtype{arguments[0]->as_text()};
  bool big_endian = dtype.name.starts_with('>');
  if (big_endian || dtype.name.starts_with('|') || dtype.name.starts_with('<'))
    dtype.name.remove_prefix(1);
  if (dtype.name.size() > 1)
    std::from_chars(dtype.name.data() + 1, dtype.name.data() + dtype.name.size(), dtype.width);
  if (value.state != nullptr) {
    const auto& state = value.state->as_tuple();
    big_endian = big_endian || (state.size() > 1 && state[1]->as_text() == ">");
  }
  if (big_endian && dtype.width > 1) value.fail("a big-endian numpy type, expected little-endian");
  return dtype;
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

/// Where the parts of a pickled array are; not yet looked at.
struct ArrayParts {
  const PickleValue* shape = nullptr;
  const PickleValue* dtype = nullptr;
  const PickleValue* data = nullptr;
};

std::optional<ArrayParts> array_parts(const PickleValue& value) {
  if (is_numpy_call(value, "multiarray._reconstruct")) {
    if (value.state == nullptr) value.fail("numpy array without a state");
    const auto& state = value.state->as_tuple(5);  // version, shape, dtype, Fortran order, data
    return ArrayParts{state[1], state[2], state[4]};
  }
  if (is_numpy_call(value, "numeric._frombuffer")) {
    const auto& arguments = value.arguments->as_tuple(4);  // data, dtype, shape, order
    return ArrayParts{arguments[2], arguments[1], arguments[0]};
  }
  return std::nullopt;
}

template <class T>
void append_numbers(std::string_view bytes, std::vector<double>& numbers) {
  for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    numbers.push_back(static_cast<double>(value));
  }
}

}  // namespace

const PickleGlobals& numpy_globals() {
  static const PickleGlobals names = {
      "_codecs.encode",
      "builtins.bytearray",
      "__builtin__.bytearray",
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

std::string_view bytes_of(const PickleValue& value, std::string& storage) {
  const bool array = is_bytearray(value);
  if (array && value.arguments->as_tuple().size() == 1)
    return bytes_of(*value.arguments->items[0], storage);
  if (!array && !value.is_call("_codecs.encode")) return value.as_text();
  storage = decode_latin1(value);
  return storage;
}

std::optional<NumpyVector> numpy_vector(const PickleValue& value, std::string& storage) {
  if (is_numpy_call(value, "multiarray.scalar")) {
    const auto& arguments = value.arguments->as_tuple(2);
    const auto dtype = dtype_of(*arguments[0]);
    const auto bytes = bytes_of(*arguments[1], storage);
    if (dtype.width == 0 || bytes.size() != dtype.width)
      value.fail("a numpy scalar of " + std::to_string(bytes.size()) + " bytes, expected " +
                 std::to_string(dtype.width));
    return NumpyVector{dtype.name, bytes};
  }
  const auto parts = array_parts(value);
  if (!parts.has_value()) return std::nullopt;
  const auto dtype = dtype_of(*parts->dtype);
  const auto bytes = bytes_of(*parts->data, storage);
  if (dtype.width == 0 || bytes.size() % dtype.width != 0)
    value.fail("a numpy array of type " + std::string(dtype.name.substr(0, 20)) + " in " +
               std::to_string(bytes.size()) + " bytes");
  check_vector_shape(*parts->shape, bytes.size() / dtype.width);
  return NumpyVector{dtype.name, bytes};
}

std::vector<double> numbers_of(const NumpyVector& vector, const PickleValue& value) {
  using Append = void (*)(std::string_view, std::vector<double>&);
  static constexpr std::pair<std::string_view, Append> kTypes[] = {
      {"b1", append_numbers<std::uint8_t>}, {"u1", append_numbers<std::uint8_t>},
      {"i1", append_numbers<std::int8_t>},  {"u2", append_numbers<std::uint16_t>},
      {"i2", append_numbers<std::int16_t>}, {"u4", append_numbers<std::uint32_t>},
      {"i4", append_numbers<std::int32_t>}, {"u8", append_numbers<std::uint64_t>},
      {"i8", append_numbers<std::int64_t>}, {"f4", append_numbers<float>},
      {"f8", append_numbers<double>},
  };
  std::vector<double> numbers;
  for (const auto& [name, append] : kTypes) {
    if (name != vector.type) continue;
    append(vector.bytes, numbers);
    return numbers;
  }
  value.fail("numpy values of type " + std::string(vector.type.substr(0, 20)) +
             ", expected bool, int or float");
}

bool holds_objects(const PickleValue& value) {
  const auto parts = array_parts(value);
  return parts.has_value() && dtype_of(*parts->dtype).name.starts_with('O');
}

const std::vector<const PickleValue*>& items_of(const PickleValue& value) {
  return holds_objects(value) ? array_parts(value)->data->as_sequence() : value.as_sequence();
}

}  // namespace diffprob::data
