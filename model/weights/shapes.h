#pragma once

#include <string>

#include "model/weights/weights.h"

namespace diffprob::model {

/// Names, shapes and types of the tensors of a weight file, in the order and with the names of
/// read_weight_entries(), as tensors of the meta device: no values are loaded. What the file says
/// of sizes is checked only when the values are read. (Of safetensors the values are loaded and
/// dropped.) Throws data::DataError.
[[nodiscard]] StateDict read_weight_shapes(const std::string& path);

}  // namespace diffprob::model
