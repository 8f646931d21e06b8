#include "model/weights/weights.h"

#include <map>
#include <sstream>

namespace diffprob::model {
namespace {

void append_module(const torch::nn::Module& module, const std::string& prefix, StateDict& entries) {
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    entries.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    entries.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_children())
    append_module(*item.value(), prefix + item.key() + ".", entries);
}

constexpr std::string_view kDistributedPrefix = "module.";

/// Length to take off every name: that of "module." when all have it.
std::size_t prefix_length(const StateDict& entries) {
  for (const auto& entry : entries) {
    if (!entry.first.starts_with(kDistributedPrefix)) return 0;
  }
  return kDistributedPrefix.size();
}

/// Entries by name, without the prefix; a name given twice is a problem.
std::map<std::string, at::Tensor> index_entries(const StateDict& entries, std::ostream& problems) {
  const std::size_t skip = prefix_length(entries);
  std::map<std::string, at::Tensor> result;
  for (const auto& [name, tensor] : entries) {
    if (!result.emplace(name.substr(skip), tensor).second) problems << "\n  given twice: " << name;
  }
  return result;
}

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict entries;
  append_module(module, "", entries);
  return entries;
}

void load_state_dict(torch::nn::Module& module, const StateDict& entries) {
  load_state_dict(state_dict(module), entries);
}

void load_state_dict(const StateDict& targets, const StateDict& entries) {
  std::ostringstream problems;
  std::map<std::string, at::Tensor> given = index_entries(entries, problems);
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const auto& [name, target] : targets) {
    const auto found = given.find(name);
    if (found == given.end()) {
      problems << "\n  missing: " << name << " " << target.sizes();
      continue;
    }
    if (found->second.sizes() == target.sizes()) {
      copies.emplace_back(target, found->second);
    } else {
      problems << "\n  wrong shape: " << name << ": expected " << target.sizes() << ", found "
               << found->second.sizes();
    }
    given.erase(found);
  }
  for (const auto& [name, tensor] : given)
    problems << "\n  unexpected: " << name << " " << tensor.sizes();
  TORCH_CHECK(problems.str().empty(), "weights do not fit the network:", problems.str());
  torch::NoGradGuard no_grad;
  for (auto& [target, source] : copies) target.copy_(source);
}

}  // namespace diffprob::model
