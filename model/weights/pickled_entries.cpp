#include "model/weights/pickled_entries.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "model/weights/limits.h"
#include "model/weights/pickled_tensors.h"

namespace diffprob::model {
namespace {

// A damaged file may hold itself, or share dictionaries so that they multiply.
constexpr int kMostLevels = 8;
constexpr std::size_t kMostVisits = std::size_t{1} << 22;

bool is_mapping(const data::PickleValue& value) {
  return value.is(data::PickleKind::kDict) || value.is_call("collections.OrderedDict");
}

std::optional<std::string> name_of_key(const data::PickleValue& key) {
  if (key.is(data::PickleKind::kString) || key.is(data::PickleKind::kBytes)) return key.text;
  if (key.is(data::PickleKind::kInt)) return std::to_string(key.integer);
  return std::nullopt;
}

const data::PickleValue* find_item(const data::PickleValue& mapping, std::string_view name) {
  for (std::size_t i = 0; i + 1 < mapping.items.size(); i += 2) {
    const auto& key = *mapping.items[i];
    if (key.is(data::PickleKind::kString) && key.text == name) return mapping.items[i + 1];
  }
  return nullptr;
}

/// The classes of torch.nn keep their tensors in these attributes.
bool is_module(const data::PickleValue& value) {
  return value.is(data::PickleKind::kOpaque) && value.state != nullptr &&
         is_mapping(*value.state) && find_item(*value.state, "_parameters") != nullptr;
}

class Collector {
 public:
  void visit(const std::string& prefix, const data::PickleValue& mapping, int level) {
    for (std::size_t i = 0; i + 1 < mapping.items.size(); i += 2) {
      const data::PickleValue& key = *mapping.items[i];
      const data::PickleValue& value = *mapping.items[i + 1];
      if (++visits_ > kMostVisits) mapping.fail("dictionaries with too many items");
      const bool tensor = PickledTensors::is_tensor(value);
      if (!tensor && (level == kMostLevels || !is_mapping(value))) continue;
      const auto name = name_of_key(key);
      if (!name.has_value()) continue;
      if (prefix.size() + name->size() > kLongestName)
        key.fail("a name of more than " + std::to_string(kLongestName) + " bytes");
      if (!tensor) {
        visit(prefix + *name + ".", value, level + 1);
        continue;
      }
      if (entries.size() == kMostEntries)
        mapping.fail("more than " + std::to_string(kMostEntries) + " tensors");
      entries.emplace_back(prefix + *name, &value);
    }
  }

  PickledEntries entries;

 private:
  std::size_t visits_ = 0;
};

/// What stands under one of the names that trainers give the weights of the network.
const data::PickleValue* inner_dictionary(const data::PickleValue& mapping) {
  constexpr std::array<std::string_view, 9> kNames = {"state_dict",
                                                      "state_dict_backbone",
                                                      "backbone_state_dict",
                                                      "model_state_dict",
                                                      "backbone",
                                                      "model",
                                                      "net",
                                                      "network",
                                                      "weights"};
  for (const auto name : kNames) {
    const auto* const value = find_item(mapping, name);
    if (value == nullptr) continue;
    if (is_mapping(*value)) return value;
    if (name == "state_dict") value->fail("'state_dict': expected a dict");
  }
  return nullptr;
}

/// "dict", "os.system": the kind of a value, or what an unknown one was made by.
std::string kind_of(const data::PickleValue& value) {
  if (value.is(data::PickleKind::kOpaque) && !value.text.empty()) return value.text;
  if (value.is(data::PickleKind::kObject)) return value.callable->text;
  return name_of(value.kind);
}

void check_mapping(const data::PickleValue& root) {
  if (is_module(root)) {
    root.fail("expected a state dict, found a whole pickled module (" + root.text +
              "); load it where its class is known and save module.state_dict()");
  }
  if (!is_mapping(root))
    root.fail("expected a state dict (OrderedDict or dict), found " + kind_of(root));
}

}  // namespace

PickledEntries pickled_entries(const data::PickleValue& root) {
  if (PickledTensors::is_tensor(root)) return {{"", &root}};
  check_mapping(root);
  Collector collector;
  collector.visit("", root, 1);
  if (collector.entries.empty() && root.items.size() >= 2) {
    root.fail("expected a tensor in the dictionary, found none; the first entry is " +
              name_of_key(*root.items[0]).value_or("?").substr(0, kLongestName) + ", " +
              kind_of(*root.items[1]));
  }
  return std::move(collector.entries);
}

const data::PickleValue& find_state_dict(const data::PickleValue& root) {
  const data::PickleValue* found = &root;
  for (int level = 0; level < kMostLevels; ++level) {
    if (PickledTensors::is_tensor(*found))
      found->fail(
          "expected a state dict (OrderedDict or dict), found a single tensor (class weights of "
          "a head instead of a network?)");
    check_mapping(*found);
    const auto* const inner = inner_dictionary(*found);
    if (inner == nullptr) break;
    found = inner;
  }
  return *found;
}

}  // namespace diffprob::model
