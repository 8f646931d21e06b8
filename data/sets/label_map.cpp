#include "data/sets/label_map.h"

#include <string>

#include "data/error.h"

namespace diffprob::data {

std::vector<std::int64_t> dense_label_map(const Dataset& set,
                                          std::span<const std::int64_t> indices) {
  if (set.num_classes() > kMostMappedClasses)
    throw DataError("subset: " + std::to_string(set.num_classes()) + " classes, at most " +
                    std::to_string(kMostMappedClasses) +
                    " can be mapped (is a label or the property file damaged?)");
  std::vector<std::int64_t> label_map(static_cast<std::size_t>(set.num_classes()), -1);
  for (const auto index : indices) {
    if (index < 0 || index >= set.size())
      throw DataError("subset: index " + std::to_string(index) + " is not below " +
                      std::to_string(set.size()));
    label_map[static_cast<std::size_t>(set.label(index))] = 0;
  }
  std::int64_t next = 0;
  for (auto& label : label_map) label = label < 0 ? -1 : next++;
  return label_map;
}

}  // namespace diffprob::data
