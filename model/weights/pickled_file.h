#pragma once

#include <string>
#include <string_view>

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

/// Opens a file of torch.save as PyTorch wrote it before 1.6: pickles, then storages. Throws
/// data::DataError.
[[nodiscard]] PickledFile open_legacy_weights(const std::string& path);
/// The bytes that such a file begins with: a pickle of a number.
[[nodiscard]] std::string_view legacy_magic() noexcept;

}  // namespace diffprob::model
