#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/pickle/reader.h"

namespace diffprob::data {

/// Globals of bytes, bytearray and numpy arrays and scalars as any Python or NumPy pickles them.
[[nodiscard]] const PickleGlobals& numpy_globals();

/// Bytes or text in any of the forms that Python writes: plain, bytearray, or a latin1 text, which
/// is decoded into `storage`; everything else is viewed in place. Throws DataError.
[[nodiscard]] std::string_view bytes_of(const PickleValue& value, std::string& storage);

/// A numpy array with at most one dimension above 1, or a numpy scalar.
struct NumpyVector {
  std::string_view type;   ///< without byte order: "u1", "b1", "f8"
  std::string_view bytes;  ///< of the elements, little-endian
};
/// Nothing when `value` is neither. Throws DataError on one that is damaged, of another shape or
/// big-endian.
[[nodiscard]] std::optional<NumpyVector> numpy_vector(const PickleValue& value,
                                                      std::string& storage);

/// The elements as numbers. Types bool, int and uint of 8 to 64 bits, float of 32 and 64; `value`
/// is what the vector was read from. Throws DataError on any other type.
[[nodiscard]] std::vector<double> numbers_of(const NumpyVector& vector, const PickleValue& value);

/// Returns true for a numpy array of objects.
[[nodiscard]] bool holds_objects(const PickleValue& value);
/// Items of a list, a tuple or a numpy array of objects. Throws DataError on anything else.
[[nodiscard]] const std::vector<const PickleValue*>& items_of(const PickleValue& value);

}  // namespace diffprob::data
