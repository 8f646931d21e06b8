// Reads weight files of every form. Whatever a file says about names, sizes, strides or records is
// checked before it is used.
#include <algorithm>
#include <cstring>
#include <set>

#include "data/error.h"
#include "data/files/input_file.h"
#include "model/weights/pickled_entries.h"
#include "model/weights/pickled_file.h"
#include "model/weights/safetensors.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

enum class Form { kZip, kLegacy, kSafetensors };

/// Tells the form by the first bytes, whatever the name of the file.
Form form_of(const data::InputFile& file) {
  constexpr std::int64_t kShortest = 4;
  const std::string expected =
      ": expected a weight file (a zip of torch.save, or safetensors), found ";
  if (file.size() < kShortest)
    throw data::DataError(file.path() + expected + std::to_string(file.size()) + " bytes");
  std::string start(std::min<std::size_t>(static_cast<std::size_t>(file.size()), 64), '\0');
  file.read(0, std::as_writable_bytes(std::span(start)));
  if (start.starts_with("PK")) return Form::kZip;
  if (start.starts_with(legacy_magic())) return Form::kLegacy;
  if (is_safetensors(file)) return Form::kSafetensors;
  if (start.starts_with('\x80'))
    throw data::DataError(file.path() + expected +
                          "a plain pickle that torch.save did not write; load it in Python and "
                          "save its state dict with torch.save");
  const bool is_page = start.starts_with('<');
  throw data::DataError(file.path() + expected +
                        (is_page ? "a web page (a download that failed?)" : "something else"));
}

StateDict read_entries(const PickledEntries& entries, PickledTensors& tensors,
                       const EntryFilter& wanted) {
  StateDict result;
  std::set<std::string> names;
  for (const auto& [name, value] : entries) {
    if (wanted && !wanted(name)) continue;
    if (!names.insert(name).second) value->fail("entry " + name + " appears twice");
    result.emplace_back(name, tensors.read(name, *value));
  }
  return result;
}

StateDict read_file(const std::string& path, const EntryFilter& wanted,
                    const data::PickleValue& (*part)(const data::PickleValue& root)) {
  torch::NoGradGuard no_grad;
  const data::InputFile file(path);
  const Form form = form_of(file);
  if (form == Form::kSafetensors) return read_safetensors(file, wanted);
  PickledFile pickled = form == Form::kZip ? open_zip_weights(path) : open_legacy_weights(path);
  return read_entries(pickled_entries(part(pickled.pickle.root())), pickled.tensors, wanted);
}

}  // namespace

StateDict read_weight_entries(const std::string& path, const EntryFilter& wanted) {
  return read_file(path, wanted,
                   [](const data::PickleValue& root) -> const data::PickleValue& { return root; });
}

StateDict read_pth(const std::string& path) {
  return read_file(path, {}, find_state_dict);
}

}  // namespace diffprob::model
