#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Names and tensors in PyTorch's state_dict order: module by module, parameters before buffers.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

/// Tensors are those of the module (no copy).
[[nodiscard]] StateDict state_dict(const torch::nn::Module& module);

/// Copies into the module. Throws c10::Error that lists every missing, unexpected or wrongly shaped
/// entry; num_batches_tracked may be missing, and mask_token on either side. What wrappers put
/// before the names ("module.", "net.") is taken off. Returns the names that stand outside such a
/// prefix (those of a head, say), which were not used.
std::vector<std::string> load_state_dict(torch::nn::Module& module, const StateDict& entries);
std::vector<std::string> load_state_dict(const StateDict& targets, const StateDict& entries);

/// An entry of a weight file whose values may lie in several blocks of memory.
struct WeightEntry {
  std::string name;
  std::vector<std::int64_t> sizes;
  at::ScalarType type = at::kFloat;
  /// Tensors of this type, on any device. Their values one after the other, each tensor's in
  /// row-major order, are those of the entry.
  std::vector<at::Tensor> parts;
};

/// Size and digest of a written file.
struct WrittenFile {
  std::int64_t bytes = 0;
  std::string sha256;  ///< 64 lower-case hex digits
};

/// A .pth (zip) that torch.load(path) reads with its default weights_only=True as an OrderedDict.
/// Atomic: appears whole or not at all. The digest is taken while writing, in small pieces: no
/// second copy of a tensor, no second reading of the file. The bytes of the file do not depend on
/// how entries are cut into parts. Throws data::DataError when the file cannot be written,
/// c10::Error naming the entry for a type that weight files do not have and for parts that are not
/// of the entry's type or number of values.
WrittenFile write_pth(const std::string& path, const std::vector<WeightEntry>& entries);
WrittenFile write_pth(const std::string& path, const StateDict& entries);

/// Reads a zip .pth of torch.save(state_dict) on the CPU; a training checkpoint that holds the
/// dictionary under "state_dict", "model", "backbone" and the like is opened there. Nothing in the
/// file is executed: the pickle goes through the allow-list reader (data/pickle/reader.h). Throws
/// data::DataError with file, entry and reason; pre-1.6 files (plain pickles) are named as such.
[[nodiscard]] StateDict read_pth(const std::string& path);

}  // namespace diffprob::model
