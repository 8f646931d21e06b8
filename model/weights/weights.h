#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Names and tensors in PyTorch's state_dict order: module by module, parameters before buffers.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

/// Tensors are those of the module (no copy).
[[nodiscard]] StateDict state_dict(const torch::nn::Module& module);

/// Copies into the module. Throws c10::Error that names the first missing, unexpected and wrongly
/// shaped entry and counts the others; num_batches_tracked may be missing, and mask_token on either
/// side. What wrappers put before the names ("module.", "net.") is taken off. Returns the names
/// that stand outside such a prefix (those of a head, say), which were not used.
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

/// A .safetensors file. Atomic, and errors, as write_pth. Entries of wider types come first.
WrittenFile write_safetensors(const std::string& path, const StateDict& entries);

/// Returns true for the name of an entry that is to be loaded.
using EntryFilter = std::function<bool(const std::string& name)>;

/// Reads all tensors of a weight file on the CPU, in the order of the file: a zip of torch.save, a
/// file of torch.save from before PyTorch 1.6, or safetensors, told by its first bytes. Names of
/// nested dictionaries are joined with '.' ("state_dict.net.conv1.weight"); a file that is a single
/// tensor gives one entry of the name "". Entries that are no tensors (epoch, hyper-parameters) are
/// skipped. With a filter, tensors whose names it refuses are neither loaded nor returned. Nothing
/// in the file is executed: the pickle goes through the allow-list reader (data/pickle/reader.h).
/// Throws data::DataError with file, entry and reason.
[[nodiscard]] StateDict read_weight_entries(const std::string& path,
                                            const EntryFilter& wanted = {});

/// Reads the weights of a network as read_weight_entries() does. A training checkpoint that holds
/// their dictionary under "state_dict", "model", "backbone" and the like is opened there.
[[nodiscard]] StateDict read_pth(const std::string& path);

}  // namespace diffprob::model
