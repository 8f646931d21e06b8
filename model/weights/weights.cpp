#include "model/weights/weights.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

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

/// What stands before the names of the targets in the names of the entries: "module." of a
/// distributed training, "net.", "features.module." and others of wrappers. The prefix under which
/// most targets are found; of equally good ones the first.
std::string find_prefix(const StateDict& targets, const StateDict& entries) {
  std::set<std::string, std::less<>> names;
  for (const auto& [name, tensor] : entries) names.insert(name);
  const auto found_under = [&](const std::string& prefix) {
    return std::count_if(targets.begin(), targets.end(),
                         [&](const auto& target) { return names.contains(prefix + target.first); });
  };
  if (targets.empty()) return "";
  const std::string& probe = targets.front().first;
  std::string best;
  auto most = found_under(best);
  for (const auto& [name, tensor] : entries) {
    if (!name.ends_with("." + probe)) continue;
    const auto prefix = name.substr(0, name.size() - probe.size());
    const auto found = found_under(prefix);
    if (found > most) best = prefix;
    most = std::max(most, found);
  }
  return best;
}

/// Ways in which entries do not fit. Of each kind the first is named and the others are counted:
/// the weights of another network differ in hundreds of names.
class Problems {
 public:
  void add(const std::string& kind, const std::string& text) {
    const auto found = std::find_if(kinds_.begin(), kinds_.end(),
                                    [&](const Kind& each) { return each.name == kind; });
    if (found == kinds_.end())
      kinds_.push_back({kind, text, 0});
    else
      ++found->more;
  }
  [[nodiscard]] bool empty() const noexcept { return kinds_.empty(); }
  [[nodiscard]] std::string text() const {
    std::string lines;
    for (const Kind& kind : kinds_) {
      lines += "\n  " + kind.name + ": " + kind.first;
      if (kind.more > 0) lines += ", and " + std::to_string(kind.more) + " more";
    }
    return lines;
  }

 private:
  struct Kind {
    std::string name;
    std::string first;
    std::int64_t more = 0;
  };
  std::vector<Kind> kinds_;
};

/// Entries of the network, by name without the prefix, and names of the others.
struct GivenEntries {
  std::map<std::string, at::Tensor> tensors;
  std::vector<std::string> others;
};

GivenEntries index_entries(const StateDict& targets, const StateDict& entries, Problems& problems) {
  const std::string prefix = find_prefix(targets, entries);
  GivenEntries given;
  for (const auto& [name, tensor] : entries) {
    if (!name.starts_with(prefix)) {
      given.others.push_back(name);
    } else if (!given.tensors.emplace(name.substr(prefix.size()), tensor).second) {
      problems.add("given twice", name);
    }
  }
  return given;
}

/// Counters of batch norms that no computation reads; files without them are sound.
bool is_counter(const std::string& name) {
  return name.ends_with("num_batches_tracked");
}

/// What a vision transformer sees in training in place of patches that are left out: a network that
/// leaves out none may lack it.
const std::string kMaskToken = "mask_token";

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict entries;
  append_module(module, "", entries);
  return entries;
}

std::vector<std::string> load_state_dict(torch::nn::Module& module, const StateDict& entries) {
  return load_state_dict(state_dict(module), entries);
}

std::vector<std::string> load_state_dict(const StateDict& targets, const StateDict& entries) {
  Problems problems;
  auto [given, others] = index_entries(targets, entries, problems);
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const auto& [name, target] : targets) {
    const auto found = given.find(name);
    if (found == given.end()) {
      if (is_counter(name) || name == kMaskToken) continue;
      problems.add("missing", c10::str(name, " ", target.sizes()));
      continue;
    }
    if (found->second.sizes() == target.sizes()) {
      copies.emplace_back(target, found->second);
    } else {
      problems.add("wrong shape", c10::str(name, ": expected ", target.sizes(), ", found ",
                                           found->second.sizes()));
    }
    given.erase(found);
  }
  given.erase(kMaskToken);
  for (const auto& [name, tensor] : given) {
    if (!is_counter(name)) problems.add("unexpected", c10::str(name, " ", tensor.sizes()));
  }
  TORCH_CHECK(problems.empty(), "weights do not fit the network:", problems.text());
  torch::NoGradGuard no_grad;
  for (auto& [target, source] : copies) target.copy_(source);
  return others;
}

}  // namespace diffprob::model
