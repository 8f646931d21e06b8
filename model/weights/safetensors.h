#pragma once

#include <string>

#include "data/files/input_file.h"
#include "model/weights/weights.h"

namespace diffprob::model {

/// Returns true if the file begins as a safetensors file does: the length of a header that lies in
/// the file, and a '{'.
[[nodiscard]] bool is_safetensors(const data::InputFile& file);

/// Reads the tensors that `wanted` accepts, in the order of the header. The header's length, types,
/// shapes and offsets are checked, and that the tensors fill the file without gap and overlap.
/// Throws data::DataError with file, entry and reason.
[[nodiscard]] StateDict read_safetensors(const data::InputFile& file, const EntryFilter& wanted);

}  // namespace diffprob::model
