#include "model/weights/find_entry.h"

#include <algorithm>

namespace diffprob::model {

const at::Tensor* find_entry(const StateDict& entries, const std::string& name) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == entries.end() ? nullptr : &found->second;
}

const at::Tensor& need_entry(const StateDict& entries, const std::string& name,
                             const std::string& path) {
  const at::Tensor* const found = find_entry(entries, name);
  TORCH_CHECK(found != nullptr, path, ": no entry '", name, "'");
  return *found;
}

}  // namespace diffprob::model
