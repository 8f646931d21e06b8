#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/weights/weights.h"

namespace diffprob::model {

struct PthDictionary;
/// What a .pth may hold: a number that is not negative, a tensor, or a dictionary of such.
using PthValue = std::variant<std::int64_t, at::Tensor, PthDictionary>;
struct PthDictionary {
  std::vector<std::pair<std::string, PthValue>> items;
};

/// Writes nested dictionaries, as trainers save their states, or a single tensor. torch.load(path)
/// reads it with weights_only=True; dictionaries become OrderedDicts. Atomic, and errors, as
/// write_pth.
WrittenFile write_pth_tree(const std::string& path, const PthValue& root);

}  // namespace diffprob::model
