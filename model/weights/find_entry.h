#pragma once

#include <string>

#include "model/weights/weights.h"

namespace diffprob::model {

/// Returns the tensor of this name, or null if there is none.
[[nodiscard]] const at::Tensor* find_entry(const StateDict& entries, const std::string& name);

/// Returns the tensor of this name. If there is none, throws c10::Error that names it and `path`,
/// the file of the entries.
[[nodiscard]] const at::Tensor& need_entry(const StateDict& entries, const std::string& name,
                                           const std::string& path);

}  // namespace diffprob::model
