// Reads weight files of every form. Whatever a file says about names, sizes, strides or records is
// checked before it is used.
#include <array>
#include <set>

#include "data/error.h"
#include "data/files/input_file.h"
#include "model/weights/pickled_entries.h"
#include "model/weights/weights.h"
#include "model/weights/zip_weights.h"

namespace diffprob::model {
namespace {

/// Files of before PyTorch 1.6 are not zips: a pickle (protocol 2) of a magic number comes first,
/// in the oldest a tar.
void refuse_old_files(const std::string& path) {
  const data::InputFile file(path);
  std::array<std::byte, 4> start{};
  if (file.size() < static_cast<std::int64_t>(start.size())) {
    throw data::DataError(path + ": expected a zip of torch.save, found " +
                          std::to_string(file.size()) + " bytes");
  }
  file.read(0, start);
  if (start[0] == std::byte{'P'} && start[1] == std::byte{'K'}) return;
  if (start[0] == std::byte{0x80}) {
    throw data::DataError(path +
                          ": expected a zip of torch.save, found a plain pickle as PyTorch wrote "
                          "it before 1.6; load and save it again with a newer PyTorch");
  }
  throw data::DataError(path + ": expected a zip of torch.save, found something else");
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

}  // namespace

StateDict read_weight_entries(const std::string& path, const EntryFilter& wanted) {
  torch::NoGradGuard no_grad;
  refuse_old_files(path);
  PickledFile file = open_zip_weights(path);
  return read_entries(pickled_entries(file.pickle.root()), file.tensors, wanted);
}

StateDict read_pth(const std::string& path) {
  torch::NoGradGuard no_grad;
  refuse_old_files(path);
  PickledFile file = open_zip_weights(path);
  return read_entries(pickled_entries(find_state_dict(file.pickle.root())), file.tensors, {});
}

}  // namespace diffprob::model
