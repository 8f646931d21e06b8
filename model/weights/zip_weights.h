#pragma once

#include <string>

#include "data/pickle/reader.h"
#include "model/weights/pickled_tensors.h"

namespace diffprob::model {

/// A weight file with its pickle read. Storages are loaded when a tensor asks for them.
struct PickledFile {
  data::Pickle pickle;
  PickledTensors tensors;
};

/// Opens a zip of torch.save. Throws data::DataError.
[[nodiscard]] PickledFile open_zip_weights(const std::string& path);

}  // namespace diffprob::model
