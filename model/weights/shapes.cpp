#include "model/weights/shapes.h"

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include <ATen/ops/empty.h>

#include "data/files/input_file.h"
#include "model/weights/pickled_entries.h"
#include "model/weights/pickled_file.h"

namespace diffprob::model {
namespace {

enum class PickledForm { kZip, kLegacy, kOther };

PickledForm pickled_form(const std::string& path) {
  const data::InputFile file(path);
  std::string start(legacy_magic().size(), '\0');
  if (file.size() < static_cast<std::int64_t>(start.size())) return PickledForm::kOther;
  file.read(0, std::as_writable_bytes(std::span(start)));
  if (start.starts_with("PK")) return PickledForm::kZip;
  return start == legacy_magic() ? PickledForm::kLegacy : PickledForm::kOther;
}

at::Tensor shape_of_storage(const std::string& key, at::ScalarType type, std::int64_t elements,
                            const data::PickleValue& value) {
  if (elements < 0) value.fail("storage " + key + ": a negative number of elements");
  return at::empty({elements}, at::TensorOptions().dtype(type).device(at::kMeta));
}

}  // namespace

StateDict read_weight_shapes(const std::string& path) {
  const PickledForm form = pickled_form(path);
  StateDict result;
  if (form == PickledForm::kOther) {  // safetensors, of which the values are read, or an error
    for (const auto& [name, tensor] : read_weight_entries(path))
      result.emplace_back(name, tensor.to(at::kMeta));
    return result;
  }
  const PickledFile file =
      form == PickledForm::kZip ? open_zip_weights(path) : open_legacy_weights(path);
  PickledTensors shapes(shape_of_storage);
  for (const auto& [name, value] : pickled_entries(file.pickle.root()))
    result.emplace_back(name, shapes.read(name, *value));
  return result;
}

}  // namespace diffprob::model
