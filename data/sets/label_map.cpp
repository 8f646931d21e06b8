#include "data/sets/label_map.h"

#include <string>
#include <utility>

#include "data/dense_labels.h"
#include "data/error.h"

namespace diffprob::data {

std::vector<std::int64_t> dense_label_map(const Dataset& set,
                                          std::span<const std::int64_t> indices) {
  if (set.num_classes() > kMostMappedClasses)
    throw DataError("subset: " + std::to_string(set.num_classes()) + " classes, at most " +
                    std::to_string(kMostMappedClasses) +
                    " can be mapped (is a label or the property file corrupted?)");
  DenseLabels labels(set.num_classes());
  for (const auto index : indices) {
    if (index < 0 || index >= set.size())
      throw DataError("subset: index " + std::to_string(index) + " is not below " +
                      std::to_string(set.size()));
    labels.keep(set.label(index));
  }
  return std::move(labels).map();
}

}  // namespace diffprob::data
