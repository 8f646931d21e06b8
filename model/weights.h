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

/// Copies into the module. Throws c10::Error that lists every missing, unexpected or wrongly shaped entry. A leading "module." on all
/// names is taken off.
void load_state_dict(torch::nn::Module& module, const StateDict& entries);
void load_state_dict(const StateDict& targets, const StateDict& entries);

/// A .pth (zip) that torch.load(path) reads with its default weights_only=True as an OrderedDict. Atomic: appears whole or not at all.
/// The digest is taken while writing, in small pieces: no second copy of a tensor, no second reading of the file.
struct WrittenFile {
  std::int64_t bytes = 0;
  std::string sha256;  ///< 64 lower-case hex digits
};
WrittenFile write_pth(const std::string& path, const StateDict& entries);

/// Reads a zip .pth of torch.save(state_dict) on the CPU. Nothing in the file is executed: the pickle goes through the allow-list reader
/// (data/pickle_reader.h). Throws data::DataError with file, entry and reason; pre-1.6 files (plain pickles) are named as such.
[[nodiscard]] StateDict read_pth(const std::string& path);

}  // namespace diffprob::model
